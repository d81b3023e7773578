use std::time::Duration;

/// Waits for a condition, with a bound that only a hung platform reaches.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let met = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), met)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come about"))
}
