use slipway_kernel::SystemClock;

use super::*;
use crate::records::{FollowEnd, Follower};

impl Home {
    /// Records a run that printed these lines.
    async fn print(&self, records: &Records, texts: &[&str]) -> Execution {
        let run = self.begin();
        records.began(run.clone()).await.unwrap();
        let lines = texts.iter().map(|text| self.line(&run, text)).collect();
        let ended = self.succeed(run, "done");
        records.ended(ended.clone(), lines).await.unwrap();
        ended
    }

    async fn found(&self, records: &Records, filter: &LogFilter) -> Vec<String> {
        let page = PageRequest::new(None, None).unwrap();
        let lines = records.lines(self.version.owner, filter.clone(), page).await.unwrap();
        assert_eq!(lines.next_cursor, None);
        lines.items.into_iter().map(|line| line.text).collect()
    }
}

/// Waits for the next lines; they have to come.
async fn next(follower: &mut Follower, count: usize) -> Vec<LogLine> {
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.push(tokio::time::timeout(PATIENCE, follower.next()).await.unwrap().unwrap());
    }
    lines
}

async fn next_texts(follower: &mut Follower, count: usize) -> Vec<String> {
    next(follower, count).await.into_iter().map(|line| line.text).collect()
}

#[tokio::test]
async fn a_search_finds_the_same_before_and_after_the_flush() {
    let home = Home::new();
    let records = home.open().await;
    home.print(&records, &["An Error: 100% of ÄPFEL", "error_code \\ 7", "all is well"]).await;
    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        for (query, expected) in [
            ("ERROR", &["error_code \\ 7", "An Error: 100% of ÄPFEL"][..]),
            ("100%", &["An Error: 100% of ÄPFEL"]),
            ("r_c", &["error_code \\ 7"]),
            ("\\ 7", &["error_code \\ 7"]),
            ("Äpfel", &["An Error: 100% of ÄPFEL"]),
            ("äpfel", &[]),
            ("%", &["An Error: 100% of ÄPFEL"]),
            ("'; DROP TABLE log_lines; --", &[]),
        ] {
            let filter = LogFilter { query: Some(query.to_owned()), ..home.filter() };
            assert_eq!(home.found(&records, &filter).await, expected, "{query} {flushed}");
        }
        let of_stream = |stream| LogFilter { stream: Some(stream), ..home.filter() };
        assert_eq!(home.found(&records, &of_stream(LogStream::Stdout)).await.len(), 3);
        assert_eq!(home.found(&records, &of_stream(LogStream::Stderr)).await.len(), 0);
    }
}

#[tokio::test]
async fn lines_are_found_between_two_times() {
    let home = Home::new();
    let records = home.open().await;
    let run = home.begin();
    let times = [0, 10, 20].map(|seconds| SystemClock.now() + TimeDelta::seconds(seconds));
    for (text, time) in ["first", "second", "third"].into_iter().zip(times) {
        let line = LogLine::received(run.id, time, LogStream::Stdout, text);
        records.printed(&run, || vec![line]).await.unwrap();
    }
    let [_, since, until] = times;
    let filter = LogFilter { since: Some(since), until: Some(until), ..home.filter() };
    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        assert_eq!(home.found(&records, &filter).await, ["second"]);
    }
}

#[tokio::test]
async fn a_follower_sees_each_line_once_and_in_order_across_flushes() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    home.print(&records, &["before"]).await;
    let flusher = Flusher::start(Arc::clone(&records));
    let mut follower = records.follow(home.version.owner, home.filter(), None).unwrap();
    let printing = async {
        for run in 0..50 {
            let texts = [0, 1, 2, 3].map(|line| format!("{run} {line}"));
            home.print(&records, &texts.each_ref().map(String::as_str)).await;
        }
    };
    let ((), lines) = tokio::join!(printing, next(&mut follower, 200));
    let expected: Vec<_> = (0..50).flat_map(|run| (0..4).map(move |line| format!("{run} {line}"))).collect();
    assert_eq!(lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), expected);
    flusher.stop().await;
}

#[tokio::test]
async fn runs_that_print_at_once_are_followed_without_a_gap() {
    let home = Arc::new(Home::new());
    let records = Arc::new(home.open().await);
    let flusher = Flusher::start(Arc::clone(&records));
    let mut follower = records.follow(home.version.owner, home.filter(), None).unwrap();
    let printing = futures_util::future::join_all((0..20).map(|run| {
        let (home, records) = (Arc::clone(&home), Arc::clone(&records));
        tokio::spawn(async move {
            let execution = home.begin();
            for line in 0..10 {
                let line = home.line(&execution, &format!("{run} {line}"));
                records.printed(&execution, || vec![line]).await.unwrap();
            }
        })
    }));
    let (_, first) = tokio::join!(printing, next(&mut follower, 80));
    // Another one goes on where this one stopped.
    let last = first.last().unwrap().id;
    drop(follower);
    let mut follower = records.follow(home.version.owner, home.filter(), Some(last)).unwrap();
    let rest = next(&mut follower, 120).await;
    let mut texts: Vec<_> = first.into_iter().chain(rest).map(|line| line.text).collect();
    texts.sort();
    let mut expected: Vec<_> =
        (0..20).flat_map(|run| (0..10).map(move |line| format!("{run} {line}"))).collect();
    expected.sort();
    assert_eq!(texts, expected);
    flusher.stop().await;
}

#[tokio::test]
async fn a_follower_begins_in_the_past_where_it_is_asked_to() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    home.print(&records, &["stored 1", "other", "stored 2"]).await;
    records.flush().await.unwrap();
    home.print(&records, &["pending", "other"]).await;
    let query = Some("E".to_owned());
    let filter = LogFilter { since: Some(home.clock.now() - TimeDelta::hours(1)), query, ..home.filter() };
    let mut follower = records.follow(home.version.owner, filter, None).unwrap();
    let texts = next_texts(&mut follower, 5).await;
    assert_eq!(texts, ["stored 1", "other", "stored 2", "pending", "other"]);
    home.print(&records, &["not this", "new"]).await;
    assert_eq!(next_texts(&mut follower, 1).await, ["new"]);
}

#[tokio::test]
async fn a_follower_of_much_reads_it_by_pages() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    let texts: Vec<String> = (0..1_000).map(|line| line.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let since = Some(home.clock.now());
    home.print(&records, &texts[..500]).await;
    records.flush().await.unwrap();
    home.print(&records, &texts[500..]).await;
    let filter = LogFilter { since, ..home.filter() };
    let mut follower = records.follow(home.version.owner, filter, None).unwrap();
    assert_eq!(next_texts(&mut follower, 1_000).await, texts);
}

#[tokio::test]
async fn a_restart_is_no_gap_for_who_follows_again() {
    let home = Home::new();
    let before = Arc::new(home.open().await);
    home.print(&before, &["one", "two", "three"]).await;
    let filter = LogFilter { since: Some(home.clock.now()), ..home.filter() };
    let mut follower = before.follow(home.version.owner, filter, None).unwrap();
    let seen = next(&mut follower, 1).await.remove(0);
    drop((follower, before));

    let after = Arc::new(home.open().await);
    let mut follower = after.follow(home.version.owner, home.filter(), Some(seen.id)).unwrap();
    assert_eq!(next_texts(&mut follower, 1).await, ["two"]);
    after.flush().await.unwrap();
    home.print(&after, &["four"]).await;
    assert_eq!(next_texts(&mut follower, 2).await, ["three", "four"]);
}

#[tokio::test]
async fn followers_are_bounded_and_end_with_their_function() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    let follow = || records.follow(home.version.owner, home.filter(), None);
    let mut followers: Vec<_> = (0..10).map(|_| follow().unwrap()).collect();
    assert!(follow().is_err());
    assert!(records.follow(UserId::generate(), home.filter(), None).is_ok(), "another's are another's");
    followers.pop();
    assert!(follow().is_ok());

    records.end_followers(home.version.function_id);
    for follower in &mut followers {
        let end = tokio::time::timeout(PATIENCE, follower.next()).await.unwrap();
        assert!(matches!(end, Err(FollowEnd::Deleted)));
    }
}

#[tokio::test]
async fn a_stranger_who_follows_sees_nothing() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    let filter = LogFilter { since: Some(home.clock.now()), ..home.filter() };
    let mut stranger = records.follow(UserId::generate(), filter.clone(), None).unwrap();
    let mut owner = records.follow(home.version.owner, filter, None).unwrap();
    home.print(&records, &["secret"]).await;
    records.flush().await.unwrap();
    assert_eq!(next_texts(&mut owner, 1).await, ["secret"]);
    // What the owner has seen was there for all: the stranger's next look ends with nothing.
    assert!(tokio::time::timeout(Duration::from_millis(200), stranger.next()).await.is_err());
}
