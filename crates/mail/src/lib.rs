#![doc = include_str!("../README.md")]

mod config;
mod mailer;
mod template;

pub use config::{MailConfig, Sender, SmtpUrl};
pub use mailer::{MailError, Mailer};
pub use template::{Letter, Template};
