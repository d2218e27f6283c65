//! The methods that a route answers.

/// Any method, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    /// Sorted and without duplicates; empty means any method.
    listed: Vec<String>,
}

/// Why a list of methods was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// No method at all.
    #[error("no method: write \"GET\", a list such as [\"GET\", \"POST\"], or \"*\" for any")]
    Empty,
    /// Not a token of RFC 9110 §5.6.2.
    #[error("{method:?} is not a method: expected letters without spaces, such as \"GET\"")]
    NotAToken {
        /// What was given.
        method: String,
    },
    /// Methods are case-sensitive (RFC 9110 §9.1), and nobody sends `get`.
    #[error("{method:?} is not in capitals, and methods are case-sensitive: write {:?}", method.to_ascii_uppercase())]
    NotUpperCase {
        /// What was given.
        method: String,
    },
    /// `*` beside other methods.
    #[error(
        "\"*\" stands alone (it is every method but CONNECT): give the other methods a route of their own"
    )]
    AnyWithOthers,
}

impl Methods {
    /// Every method but CONNECT, which asks for a tunnel and must be meant.
    pub const fn any() -> Self {
        Self { listed: Vec::new() }
    }

    /// Reads a list of methods; `["*"]` is [`Self::any`].
    ///
    /// # Errors
    /// When the list is empty or an entry is not an upper-case token.
    pub fn parse<S: AsRef<str>>(list: &[S]) -> Result<Self, MethodError> {
        let mut listed: Vec<String> = list.iter().map(|method| method.as_ref().to_owned()).collect();
        if listed.iter().any(|method| method == "*") {
            return if listed.len() == 1 {
                Ok(Self::any())
            } else {
                Err(MethodError::AnyWithOthers)
            };
        }
        if listed.is_empty() {
            return Err(MethodError::Empty);
        }
        for method in &listed {
            if !is_token(method) {
                return Err(MethodError::NotAToken {
                    method: method.clone(),
                });
            }
            if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                return Err(MethodError::NotUpperCase {
                    method: method.clone(),
                });
            }
        }
        listed.sort_unstable();
        listed.dedup();
        Ok(Self { listed })
    }

    /// Whether this is every method but CONNECT.
    pub fn is_any(&self) -> bool {
        self.listed.is_empty()
    }

    /// The methods of a list, sorted; empty when [`Self::is_any`].
    pub fn listed(&self) -> &[String] {
        &self.listed
    }

    pub(super) fn lists(&self, method: &str) -> bool {
        self.listed.iter().any(|listed| listed == method)
    }
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_and_without_duplicates() {
        let methods = Methods::parse(&["POST", "GET", "POST"]).unwrap();
        assert_eq!(methods.listed(), ["GET", "POST"]);
        assert!(!methods.is_any());
        assert_eq!(Methods::parse(&["*"]).unwrap(), Methods::any());
    }

    #[test]
    fn bad_lists_are_refused_with_what_to_write() {
        assert_eq!(Methods::parse::<&str>(&[]), Err(MethodError::Empty));
        assert_eq!(Methods::parse(&["GET", "*"]), Err(MethodError::AnyWithOthers));
        for text in ["", "GE T", "GET\n", "GÉT"] {
            assert_eq!(
                Methods::parse(&[text]),
                Err(MethodError::NotAToken {
                    method: text.to_owned()
                })
            );
        }
        let error = Methods::parse(&["GET", "Patch"]).unwrap_err();
        assert_eq!(
            error,
            MethodError::NotUpperCase {
                method: "Patch".to_owned()
            }
        );
        assert!(error.to_string().contains("write \"PATCH\""), "{error}");
    }
}
