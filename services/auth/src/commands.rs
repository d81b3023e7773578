//! What auth does as a program beside serving: `slipway-auth keys …`.

use std::cmp::Ordering;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use slipway_jwt::{KeyError, KeyFile, Rotation, SigningKeys};

/// The commands, and what each does.
pub(crate) const COMMANDS: &[(&str, &str)] = &[
    ("keys list", "lists the keys that sign access tokens"),
    ("keys rotate", "adds one, which signs two minutes later; no service need be restarted"),
    ("keys prune", "removes those whose last token has ended"),
];

/// Runs one of [`COMMANDS`]; returns what it has to say, or nothing for another word. Blocking.
pub(crate) fn run(name: &str, keys_dir: &Path, now: DateTime<Utc>) -> Option<Result<String, KeyError>> {
    match name {
        "keys list" => Some(list(keys_dir, now)),
        "keys rotate" => Some(rotate(keys_dir, now)),
        "keys prune" => Some(prune(keys_dir, now)),
        _ => None,
    }
}

fn list(keys_dir: &Path, now: DateTime<Utc>) -> Result<String, KeyError> {
    let files = SigningKeys::files_in(keys_dir)?;
    let signing = files.iter().rposition(|file| file.signs_from() <= now).unwrap_or_default();
    let line = |(index, file): (usize, &KeyFile)| {
        let state = match index.cmp(&signing) {
            Ordering::Less => "verifies".to_owned(),
            Ordering::Equal => "signs".to_owned(),
            Ordering::Greater => format!("signs from {}", shown(file.signs_from())),
        };
        format!("{}  made {}  {state}", file.path.display(), shown(file.made_at))
    };
    Ok(files.iter().enumerate().map(line).collect::<Vec<_>>().join("\n"))
}

fn rotate(keys_dir: &Path, now: DateTime<Utc>) -> Result<String, KeyError> {
    Ok(match SigningKeys::rotate(keys_dir, now)? {
        Rotation::Made(key) => {
            format!("made {}: it signs from {}", key.path.display(), shown(key.signs_from()))
        }
        Rotation::Waits(key) => format!(
            "{} was made a moment ago and signs from {}: nothing was done",
            key.path.display(),
            shown(key.signs_from())
        ),
    })
}

fn prune(keys_dir: &Path, now: DateTime<Utc>) -> Result<String, KeyError> {
    let removed = SigningKeys::prune(keys_dir, now)?;
    if removed.is_empty() {
        return Ok("no key is old enough to be removed".to_owned());
    }
    let lines: Vec<_> = removed.iter().map(|key| format!("removed {}", key.path.display())).collect();
    Ok(lines.join("\n"))
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
