//! What people say of themselves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT /profile`: the whole of it. What is left out, or null, is taken away.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileRequest {
    /// The person's name, up to 200 characters on one line.
    pub full_name: Option<String>,
    /// A telephone number with its country code (E.164).
    #[schema(example = "+49 30 1234567")]
    pub phone: Option<String>,
    /// A language tag (BCP 47).
    #[schema(example = "de-AT")]
    pub locale: Option<String>,
    /// The name of a time zone (IANA).
    #[schema(example = "Europe/Vienna")]
    pub time_zone: Option<String>,
    /// The name at Discord.
    pub discord_username: Option<String>,
    /// The address of a webhook of Discord's, where news can be sent.
    #[schema(example = "https://discord.com/api/webhooks/1234/abcd")]
    pub discord_webhook: Option<String>,
}

/// What a person says of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileBody {
    /// The person's name.
    pub full_name: Option<String>,
    /// A telephone number: `+` and figures.
    pub phone: Option<String>,
    /// A language tag (BCP 47).
    pub locale: Option<String>,
    /// The name of a time zone (IANA).
    pub time_zone: Option<String>,
    /// The name at Discord.
    pub discord_username: Option<String>,
    /// The address of a webhook of Discord's.
    pub discord_webhook: Option<String>,
}

/// `PUT /users/me`: what is left out stays.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMeRequest {
    /// Another name to sign in with. The handle stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
}
