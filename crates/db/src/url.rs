//! What libpq is told beside where the server is.

use std::time::Duration;

use slipway_config::Secret;

/// Bounds how long libpq waits for a host that has gone silent, where `url` does not bound it itself: to connect
/// (whole seconds, at least 2), and for what was sent to be acknowledged (milliseconds). libpq by itself leaves both
/// to the kernel: minutes. `url` is a URI or `keyword = value` pairs.
pub(crate) fn bounded(url: &Secret, timeout: Duration) -> Secret {
    let seconds = timeout.as_secs().max(2);
    let milliseconds = (timeout * 2).as_millis();
    let mut text = url.expose().to_owned();
    let is_uri = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    for (name, value) in
        [("connect_timeout", seconds.to_string()), ("tcp_user_timeout", milliseconds.to_string())]
    {
        if text.contains(&format!("{name}=")) || text.contains(&format!("{name} =")) {
            continue;
        }
        let before = match (is_uri, text.contains('?')) {
            (true, true) => '&',
            (true, false) => '?',
            (false, _) => ' ',
        };
        text.push(before);
        text.extend([name, "=", &value]);
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_host_is_waited_for_within_bounds() {
        let bounded = |url: &str| bounded(&Secret::new(url), Duration::from_secs(5)).expose().to_owned();
        let both = "connect_timeout=5&tcp_user_timeout=10000";
        assert_eq!(bounded("postgres://a@b/c"), format!("postgres://a@b/c?{both}"));
        assert_eq!(bounded("postgresql:///c?host=%2Frun"), format!("postgresql:///c?host=%2Frun&{both}"));
        assert_eq!(
            bounded("postgres://a@b/c?connect_timeout=9"),
            "postgres://a@b/c?connect_timeout=9&tcp_user_timeout=10000"
        );
        assert_eq!(bounded("host=b dbname=c"), "host=b dbname=c connect_timeout=5 tcp_user_timeout=10000");
    }
}
