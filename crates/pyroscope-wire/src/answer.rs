//! Refusals in the shape and the words of Pyroscope, for the answers that pyrotee gives itself.

use serde_json::Value;

use crate::name::NameFault;

/// The `Content-Type` of [`error_body`].
pub const CONTENT_TYPE: &str = "application/json";

/// The `code` that goes with status 400.
pub const INVALID_ARGUMENT: &str = "invalid_argument";

/// The body of a refusal: JSON with a code of the connect protocol and a text, and a newline.
pub fn error_body(code: &str, message: &str) -> String {
    let (code, message) = (Value::from(code), Value::from(message));
    format!("{{\"code\":{code},\"message\":{message}}}\n")
}

/// The body with which Pyroscope refuses a name; its status is 400.
pub fn bad_name(fault: &NameFault) -> String {
    error_body(INVALID_ARGUMENT, &format!("name: {fault}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Dialect;

    #[test]
    fn a_refused_name_is_answered_in_the_words_of_pyroscope() {
        assert_eq!(
            bad_name(&NameFault::AppRequired(Dialect::Modern)),
            "{\"code\":\"invalid_argument\",\"message\":\"name: service name is required\"}\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_is(code in any::<String>(), message in any::<String>()) {
            let body = error_body(&code, &message);
            prop_assert_eq!(body.matches('\n').count(), 1);
            let read: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&read["code"], &Value::from(code));
            prop_assert_eq!(&read["message"], &Value::from(message));
        }
    }
}
