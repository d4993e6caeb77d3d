//! A core out of a recording that an older version may have written.

use serde_json::Value;

use crate::cluster::{Cluster, Settings, Time};

/// The core; what an older version did not know of is as in a core that has just started.
pub(super) fn core(written: &Value, at: Time) -> serde_json::Result<Cluster> {
    let settings: Settings = serde_json::from_value(
        written.get("settings").cloned().unwrap_or_else(|| Value::Object(Default::default())),
    )?;
    let mut value = serde_json::to_value(Cluster::new(settings, at))?;
    lay_over(&mut value, written);
    serde_json::from_value(value)
}

/// Objects that have a key in common are structures, and are filled up. Those that have none are values of an
/// enum, and like everything else they stand for themselves.
fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) if over.keys().any(|key| under.contains_key(key)) => {
            for (key, value) in over {
                lay_over(under.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(under), Value::Array(over)) if under.len() == over.len() => {
            under.iter_mut().zip(over).for_each(|(under, over)| lay_over(under, over));
        }
        (under, over) => under.clone_from(over),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn structures_are_filled_up_and_values_replaced() {
        let laid = |mut under: Value, over: Value| {
            lay_over(&mut under, &over);
            under
        };
        let fresh = json!({"able": {"Err": "why"}, "new": 7, "links": [{"a": 1, "b": 2}], "list": [1]});
        let old = json!({"able": {"Ok": null}, "links": [{"a": 5}], "list": []});
        let expected = json!({"able": {"Ok": null}, "new": 7, "links": [{"a": 5, "b": 2}], "list": []});
        assert_eq!(laid(fresh, old), expected);
        assert_eq!(laid(json!(null), json!({"a": 1})), json!({"a": 1}));
        assert_eq!(laid(json!({"a": 1}), json!(null)), json!(null));
    }
}
