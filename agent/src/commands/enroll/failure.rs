//! Why a device is not enrolled, and what to do.

use std::fmt;
use std::path::PathBuf;

use tilth_config::NotChanged;
use tilth_protocol::{CodeError, EnrolmentCode, ErrorCode, Failure};
use tilth_sync::transport::https::AddressError;
use tilth_sync::transport::tls::TlsError;
use tilth_sync::transport::{TransportError, TransportErrorKind};

use crate::exit::Exit;

#[derive(Debug, thiserror::Error)]
pub(super) enum EnrolFailure {
    #[error("this is not a code that a hub printed: {0}; nothing was sent")]
    Mistyped(CodeError),
    #[error(transparent)]
    Address(AddressError),
    #[error("{path}: {why}; nothing was sent")]
    AgentToml { path: PathBuf, why: NotChanged },
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Another hub, another CA than when the code was made, or somebody in between.
    #[error(
        "{url} shows another CA certificate than the one that the code names, so this may not be the hub that made the code; the code was not \
         shown to it. Is --hub right? Else make a code with the hub's CA: tilth-hub device enroll --ca FILE"
    )]
    OtherCa { url: String },
    /// An answer, which the hub may have given.
    #[error("{}", answered(url, *status, failure.as_ref()))]
    Answered { url: String, status: u16, failure: Option<Failure> },
    /// What the data folder holds is of another client or hub.
    #[error(
        "the history in {} is of {before}, and this code is for {owner}; nothing was changed. Before the code expires run the same command again \
         with --history withhold, and what was recorded so far stays on this device, or with --history send, and it is sent there",
        data.display()
    )]
    OtherHistory { data: PathBuf, before: String, owner: String },
    /// The connection failed.
    #[error("{error}{}", advice(error, *has_ca, *code_shown))]
    Unanswered { error: TransportError, has_ca: bool, code_shown: bool },
}

impl EnrolFailure {
    /// `code_shown` is true once the secret may have been sent.
    pub(super) fn unanswered(error: TransportError, code: &EnrolmentCode, code_shown: bool) -> EnrolFailure {
        EnrolFailure::Unanswered { error, has_ca: code.has_ca(), code_shown }
    }

    pub(super) fn exit(&self) -> Exit {
        match self {
            EnrolFailure::Mistyped(_) | EnrolFailure::Address(_) | EnrolFailure::AgentToml { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    /// Whether the hub has a certificate that was not trusted; the code was not sent.
    pub(super) fn is_untrusted(&self) -> bool {
        matches!(self, EnrolFailure::Unanswered { error, .. } if error.kind == TransportErrorKind::Untrusted)
    }

    /// Whether the hub that made the code has no more use for it, so that the key that was drawn for it is of none either. A hub that does
    /// not know the code may be another one than that which has the key already.
    pub(super) fn is_final(&self) -> bool {
        use ErrorCode::{ExpiredCode, RevokedCode, UsedCode};
        let EnrolFailure::Answered { failure: Some(failure), .. } = self else { return false };
        matches!(failure.error, ExpiredCode | RevokedCode | UsedCode)
    }
}

/// The command that makes a code.
const NEW_CODE: &str = "tilth-hub device enroll --client CLIENT --device DEVICE";

fn answered(url: &str, status: u16, failure: Option<&Failure>) -> String {
    let Some(Failure { error, message }) = failure else {
        return format!(
            "{url} answers {status} and not as a hub does: is --hub right? A login page of the network may be in between"
        );
    };
    match error {
        ErrorCode::UnknownCode => {
            format!(
                "the hub at {url} does not know this code: it is of another hub, or mistyped. A new one, on the hub: {NEW_CODE}"
            )
        }
        ErrorCode::UsedCode => format!(
            "{message}. If that was none of yours, on the hub: tilth-hub device revoke DEVICE --client CLIENT. A new code: {NEW_CODE}"
        ),
        ErrorCode::ExpiredCode | ErrorCode::RevokedCode => format!("{message}. A new one, on the hub: {NEW_CODE}"),
        ErrorCode::TooMany => format!("{url}: {message}; try again in a minute"),
        ErrorCode::NotFound => format!("{url} has no enrolment: is it a hub, and as new as this agent? ({message})"),
        _ => format!("{url}: {status} {message}"),
    }
}

fn advice(TransportError { kind, detail, .. }: &TransportError, has_ca: bool, code_shown: bool) -> impl fmt::Display {
    match kind {
        // A Pi has no battery for its clock.
        TransportErrorKind::Untrusted if detail.contains("clock") => {
            "; the code was not sent. If this device's clock is wrong, set it and try again: sudo date -s 'YYYY-MM-DD HH:MM', or connect it to a \
             network with a time server (timedatectl shows whether it is synchronised). Else the hub's certificate is to be renewed"
        }
        TransportErrorKind::Untrusted if has_ca => {
            "; the code was not sent. This certificate is not from the CA that the code names: somebody may be in between, or the hub has a new \
             certificate"
        }
        TransportErrorKind::Untrusted => {
            "; the code was not sent. For a hub with a certificate of its own: tilth-hub device enroll --ca FILE makes a code that names it"
        }
        TransportErrorKind::NoConnection | TransportErrorKind::NoTls => "; the code was not sent. Is --hub right?",
        _ if code_shown => "; the hub may have taken the code. Run the same command again, before the code expires",
        _ => "; try again",
    }
}
