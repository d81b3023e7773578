use slipway_models::problem::FieldError;

use super::BrokenRule;

/// All that is wrong with the fields of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldFaults {
    pub(crate) fields: Vec<FieldError>,
    pub(crate) weak_password: bool,
}

impl FieldFaults {
    /// Takes what was checked, or keeps what is wrong with it.
    pub(crate) fn keep<T>(&mut self, pointer: &str, checked: Result<T, &'static str>) -> Option<T> {
        checked.map_err(|detail| self.add(pointer, detail)).ok()
    }

    /// Keeps the rules that a new password breaks.
    pub(crate) fn weaken(&mut self, pointer: &str, broken: &[BrokenRule]) {
        self.weak_password = true;
        for rule in broken {
            self.add(pointer, rule.detail());
        }
    }

    pub(crate) fn add(&mut self, pointer: &str, detail: impl Into<String>) {
        self.fields.push(FieldError { pointer: pointer.to_owned(), detail: detail.into() });
    }
}
