use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;
use slipway_models::functions::{FunctionConfig, FunctionConfigPatch, Runtime};
use slipway_models::problem::FieldError;

const MEMORY_MB: RangeInclusive<u32> = 32..=4096;
const CPU: RangeInclusive<f64> = 0.1..=4.0;
const TIMEOUT_MS: RangeInclusive<u32> = 100..=900_000;
const MIN_INSTANCES: RangeInclusive<u32> = 0..=10;
const MAX_INSTANCES: RangeInclusive<u32> = 1..=100;
const CONCURRENCY: RangeInclusive<u32> = 1..=100;
const TMP_MB: RangeInclusive<u32> = 1..=1024;
/// The most settings of a function's own, and their most bytes together: they go to an instance in one message.
const ENV_ENTRIES: usize = 256;
const ENV_BYTES: usize = 128 * 1024;
const ENV_NAME_BYTES: usize = 128;

/// Checks a change of configuration. `at` is the JSON pointer to it; every fault is reported.
pub fn check(patch: &FunctionConfigPatch, at: &str) -> Result<(), Vec<FieldError>> {
    let mut faults = Vec::new();
    let mut refuse = |field: &str, detail: String| {
        faults.push(FieldError { pointer: format!("{at}/{field}"), detail });
    };
    for (field, fault) in [
        ("memory_mb", outside(patch.memory_mb, &MEMORY_MB)),
        ("cpu", outside(patch.cpu, &CPU)),
        ("timeout_ms", outside(patch.timeout_ms, &TIMEOUT_MS)),
        ("min_instances", outside(patch.min_instances, &MIN_INSTANCES)),
        ("max_instances", outside(patch.max_instances, &MAX_INSTANCES)),
        ("concurrency", outside(patch.concurrency, &CONCURRENCY)),
        ("tmp_mb", outside(patch.tmp_mb, &TMP_MB)),
    ] {
        if let Some(detail) = fault {
            refuse(field, detail);
        }
    }
    for (field, detail) in patch.env.iter().flat_map(env_faults) {
        refuse(&field, detail);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Names what a change of configuration is about, without the values.
pub fn changed_fields(patch: &FunctionConfigPatch) -> Vec<String> {
    match serde_json::to_value(patch) {
        Ok(Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

/// Returns `config` with what a checked `patch` changes.
pub fn apply(config: &FunctionConfig, patch: &FunctionConfigPatch) -> FunctionConfig {
    FunctionConfig {
        memory_mb: patch.memory_mb.unwrap_or(config.memory_mb),
        cpu: patch.cpu.unwrap_or(config.cpu),
        timeout_ms: patch.timeout_ms.unwrap_or(config.timeout_ms),
        min_instances: patch.min_instances.unwrap_or(config.min_instances),
        max_instances: patch.max_instances.unwrap_or(config.max_instances),
        concurrency: patch.concurrency.unwrap_or(config.concurrency),
        tmp_mb: patch.tmp_mb.unwrap_or(config.tmp_mb),
        egress: patch.egress.unwrap_or(config.egress),
        public: patch.public.unwrap_or(config.public),
        env: patch.env.as_ref().unwrap_or(&config.env).clone(),
    }
}

/// Checks what the fields of a whole configuration say together, and of the runtime; a change alone cannot know.
pub fn check_together(config: &FunctionConfig, runtime: Runtime, at: &str) -> Result<(), Vec<FieldError>> {
    let mut faults = Vec::new();
    if config.min_instances > config.max_instances {
        let detail = format!("must be no more than max_instances, which is {}", config.max_instances);
        faults.push(FieldError { pointer: format!("{at}/min_instances"), detail });
    }
    if config.concurrency > 1 && !takes_several_calls(runtime) {
        let detail =
            format!("must be 1: an instance of the runtime {runtime} carries out one call at a time");
        faults.push(FieldError { pointer: format!("{at}/concurrency"), detail });
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Tells whether a runtime's worker can carry out several calls at a time.
pub fn takes_several_calls(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Python | Runtime::Node)
}

/// Returns one change that does what `first` and then `second` do.
pub fn merge(first: FunctionConfigPatch, second: FunctionConfigPatch) -> FunctionConfigPatch {
    FunctionConfigPatch {
        memory_mb: second.memory_mb.or(first.memory_mb),
        cpu: second.cpu.or(first.cpu),
        timeout_ms: second.timeout_ms.or(first.timeout_ms),
        min_instances: second.min_instances.or(first.min_instances),
        max_instances: second.max_instances.or(first.max_instances),
        concurrency: second.concurrency.or(first.concurrency),
        tmp_mb: second.tmp_mb.or(first.tmp_mb),
        egress: second.egress.or(first.egress),
        public: second.public.or(first.public),
        env: second.env.or(first.env),
    }
}

fn outside<T: PartialOrd + Display>(value: Option<T>, range: &RangeInclusive<T>) -> Option<String> {
    let outside = value.is_some_and(|value| !range.contains(&value));
    outside.then(|| format!("must lie between {} and {}", range.start(), range.end()))
}

/// Returns the faults of the function's own settings, by the field's path. No value is shown: it may be a secret.
fn env_faults(env: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if env.len() > ENV_ENTRIES {
        faults.push(("env".to_owned(), format!("must have at most {ENV_ENTRIES} entries")));
    }
    if env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > ENV_BYTES {
        faults.push(("env".to_owned(), format!("must be at most {ENV_BYTES} bytes in all")));
    }
    for (name, value) in env.iter().take(ENV_ENTRIES) {
        let shown = name.chars().take(ENV_NAME_BYTES).collect::<String>();
        let pointer = format!("env/{}", shown.replace('~', "~0").replace('/', "~1"));
        if !is_env_name(name) {
            let detail = format!(
                "must be a name of letters, digits and `_` that starts with no digit, at most {ENV_NAME_BYTES} long"
            );
            faults.push((pointer, detail));
        } else if value.contains('\0') {
            faults.push((pointer, "must not hold a NUL".to_owned()));
        }
    }
    faults
}

fn is_env_name(name: &str) -> bool {
    name.len() <= ENV_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(json: &str) -> FunctionConfigPatch {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_value_outside_its_range_is_named() {
        let hostile = patch(
            r#"{"memory_mb":31,"cpu":4.1,"timeout_ms":99,"min_instances":11,"max_instances":0,"concurrency":101,"tmp_mb":1025,
                "env":{"1A":"","B":"a\u0000b","C/~":"","GOOD_1":""}}"#,
        );
        let faults = check(&hostile, "/config").unwrap_err();
        let shown: Vec<String> =
            faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.detail)).collect();
        let name = "must be a name of letters, digits and `_` that starts with no digit, at most 128 long";
        assert_eq!(
            shown,
            [
                "/config/memory_mb must lie between 32 and 4096",
                "/config/cpu must lie between 0.1 and 4",
                "/config/timeout_ms must lie between 100 and 900000",
                "/config/min_instances must lie between 0 and 10",
                "/config/max_instances must lie between 1 and 100",
                "/config/concurrency must lie between 1 and 100",
                "/config/tmp_mb must lie between 1 and 1024",
                &format!("/config/env/1A {name}"),
                "/config/env/B must not hold a NUL",
                &format!("/config/env/C~1~0 {name}"),
            ]
        );
    }

    #[test]
    fn the_ends_of_the_ranges_are_good() {
        for json in [
            r#"{"memory_mb":32,"cpu":0.1,"timeout_ms":100,"min_instances":0,"max_instances":1,"concurrency":1,"tmp_mb":1}"#,
            r#"{"memory_mb":4096,"cpu":4,"timeout_ms":900000,"min_instances":10,"max_instances":100,"concurrency":100,"tmp_mb":1024}"#,
            "{}",
        ] {
            assert_eq!(check(&patch(json), ""), Ok(()));
        }
    }

    #[test]
    fn no_more_instances_are_kept_than_there_may_be() {
        let check = |json| {
            check_together(&apply(&FunctionConfig::default(), &patch(json)), Runtime::Python, "/config")
        };
        assert_eq!(check(r#"{"min_instances":2,"max_instances":2}"#), Ok(()));
        let FieldError { pointer, detail } =
            check(r#"{"min_instances":3,"max_instances":2}"#).unwrap_err().remove(0);
        assert_eq!(pointer, "/config/min_instances");
        assert_eq!(detail, "must be no more than max_instances, which is 2");
    }

    #[test]
    fn a_program_is_called_once_at_a_time() {
        let several = apply(&FunctionConfig::default(), &patch(r#"{"concurrency":2}"#));
        assert_eq!(check_together(&several, Runtime::Node, ""), Ok(()));
        assert_eq!(check_together(&FunctionConfig::default(), Runtime::Binary, ""), Ok(()));
        let FieldError { pointer, detail } =
            check_together(&several, Runtime::Binary, "").unwrap_err().remove(0);
        assert_eq!(pointer, "/concurrency");
        assert_eq!(detail, "must be 1: an instance of the runtime binary carries out one call at a time");
    }

    #[test]
    fn what_a_patch_leaves_out_stays() {
        let config = apply(&FunctionConfig::default(), &patch(r#"{"memory_mb":256,"env":{"A":"1"}}"#));
        let changed = apply(&config, &patch(r#"{"env":{"B":"2"}}"#));
        assert_eq!((changed.memory_mb, changed.timeout_ms), (256, 5_000));
        assert_eq!(changed.env, BTreeMap::from([("B".to_owned(), "2".to_owned())]));
    }

    #[test]
    fn two_patches_merge_to_one_that_does_both() {
        let first = patch(r#"{"memory_mb":256,"cpu":1.0}"#);
        let second = patch(r#"{"cpu":2.0,"tmp_mb":8}"#);
        let config = FunctionConfig::default();
        assert_eq!(
            apply(&config, &merge(first.clone(), second.clone())),
            apply(&apply(&config, &first), &second)
        );
    }
}
