use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::{Letter, MailConfig};

/// For each step of the conversation with the server.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// For all of it.
const TIMEOUT: Duration = Duration::from_secs(30);

const TOO_LONG: &str = "it took too long";

/// Hands letters over to an SMTP server. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Says why a letter was not handed over. What a server says may name the addressee, so it is left out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The letter cannot be written: its addressee is none.
    #[error("there can be no letter to this address")]
    Unwritable,
    /// The server is not there, or told to come again.
    #[error("the SMTP server did not take the letter: {0}")]
    Transient(&'static str),
    /// The server will not have it, now or later.
    #[error("the SMTP server refuses the letter for good")]
    Refused,
}

impl MailError {
    /// Tells whether trying again makes sense.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

impl Mailer {
    /// Prepares the way to a server. No connection is made yet.
    ///
    /// # Errors
    /// Says that the system's certificates cannot be read.
    pub fn new(config: &MailConfig) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.server.expose())
            .map_err(|_| MailError::Unwritable)?
            .timeout(Some(STEP_TIMEOUT))
            .build();
        Ok(Self { transport, from: config.from.0.clone() })
    }

    /// Hands a letter over, within 30 s. Once this returns, the server has it.
    pub async fn send(&self, to: &str, letter: &Letter) -> Result<(), MailError> {
        let to: Address = to.parse().map_err(|_| MailError::Unwritable)?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.clone())
            .message_id(None)
            .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
            .map_err(|_| MailError::Unwritable)?;
        let sent = tokio::time::timeout(TIMEOUT, self.transport.send(message)).await;
        let sent = sent.map_err(|_| MailError::Transient(TOO_LONG))?;
        sent.map(drop).map_err(|fault| classify(&fault))
    }
}

fn classify(fault: &smtp::Error) -> MailError {
    if fault.is_permanent() || fault.is_client() {
        MailError::Refused
    } else if fault.is_timeout() {
        MailError::Transient(TOO_LONG)
    } else if fault.is_tls() {
        MailError::Transient("TLS failed")
    } else if fault.is_transient() {
        MailError::Transient("it told to come again")
    } else {
        MailError::Transient("the connection failed")
    }
}
