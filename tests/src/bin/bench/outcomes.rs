use slipway_clients::ClientError;
use slipway_models::functions::InvokeAnswer;

/// What came of calls.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) answered: usize,
    /// Told 429: as many calls wait, or are under way, as may.
    pub(crate) busy: usize,
    /// Whatever else came of a call, in words.
    pub(crate) others: Vec<String>,
}

impl Outcomes {
    pub(crate) fn add(&mut self, outcome: Result<InvokeAnswer, ClientError>) {
        match outcome {
            Ok(_) => self.answered += 1,
            Err(ClientError::Problem { problem, .. }) if problem.status == 429 => {
                self.busy += 1;
            }
            Err(other) => self.others.push(other.to_string()),
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.answered += other.answered;
        self.busy += other.busy;
        self.others.extend(other.others);
    }

    pub(crate) fn print(&self) {
        println!("  {} answered, {} told 429, {} others", self.answered, self.busy, self.others.len());
        if let Some(first) = self.others.first() {
            println!("  the first of these: {first}");
        }
    }
}
