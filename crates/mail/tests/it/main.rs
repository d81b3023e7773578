//! Letters to a real SMTP server.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

use slipway_mail::{MailConfig, MailError, Mailer, Template};
use slipway_testkit::TestSmtp;

fn mailer(smtp: &TestSmtp) -> Mailer {
    let (server, from) = (smtp.url().parse().unwrap(), "Släpway <slipway@example.org>".parse().unwrap());
    Mailer::new(&MailConfig { server, from }).unwrap()
}

fn letter() -> slipway_mail::Letter {
    let template = Template {
        subject: "Grüße\u{2026}",
        text: "Hello {{name}}\n.\nthe end",
        html: "<p>Hello {{name}}</p>",
    };
    template.fill(&[("name", "Ada & \u{1f980}")])
}

#[tokio::test]
async fn a_letter_arrives_as_it_was_written_in_both_forms() {
    let smtp = TestSmtp::start_new();
    mailer(&smtp).send("ada@example.org", &letter()).await.unwrap();
    let arrived = smtp.letter_to("ada@example.org", 1).await;
    assert_eq!(arrived.from, "Släpway <slipway@example.org>");
    assert_eq!(arrived.subject, "Grüße\u{2026}");
    assert_eq!(arrived.text.lines().collect::<Vec<_>>(), ["Hello Ada & \u{1f980}", ".", "the end"]);
    assert_eq!(arrived.html.trim_end(), "<p>Hello Ada &amp; \u{1f980}</p>");
}

#[tokio::test]
async fn a_refusal_is_for_good_and_a_server_that_is_away_is_tried_again() {
    let mut smtp = TestSmtp::start_new();
    let mailer = mailer(&smtp);
    let refused = mailer.send("refused@example.org", &letter()).await.unwrap_err();
    assert!(matches!(refused, MailError::Refused) && !refused.is_transient());
    let unwritable = mailer.send("ada@example.org\r\nBcc: eve@example.org", &letter()).await.unwrap_err();
    assert!(matches!(unwritable, MailError::Unwritable) && !unwritable.is_transient());
    smtp.stop();
    assert!(mailer.send("ada@example.org", &letter()).await.unwrap_err().is_transient());
    smtp.start();
    mailer.send("ada@example.org", &letter()).await.unwrap();
}
