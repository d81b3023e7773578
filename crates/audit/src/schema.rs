diesel::table! {
    audit_outbox (position) {
        position -> BigInt,
        event -> Text,
    }
}
