//! The pattern of a route: `/`, `/users/:id`, `/files/*`.

use std::fmt;
use std::str::FromStr;

use super::segment::{escape_value, hex_digits, normalize};

/// Most segments a pattern may have. It bounds the depth of a search and the table of offsets each lookup
/// keeps on the stack; four times what the longest public REST interfaces use.
pub const MAX_SEGMENTS: usize = 64;

/// A parsed pattern.
///
/// It begins with `/`. A segment is a literal, a parameter `:name` that matches one segment of at least one
/// byte, or, at the end only, `*`, which matches the rest of the path: `/files/*` matches `/files/` and
/// `/files/a/b`, but not `/files`. A trailing slash counts: `/a` and `/a/` are two paths.
///
/// Literals compare byte by byte once escapes of unreserved characters are decoded (RFC 3986 §6.2.2.2), so
/// `/%61` is `/a` while `%2F` is never a separator. Characters that cannot occur in a path, such as `é`,
/// stand for their UTF-8 percent-encoding, as a client sends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

/// One part between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// In normal form, see [`normalize`].
    Literal(Vec<u8>),
    Parameter(String),
    Wildcard,
}

/// Why a pattern was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern {pattern:?}, at byte {position}: {problem}")]
pub struct PatternError {
    /// The pattern as it was given.
    pub pattern: String,
    /// Where the faulty part begins, in bytes from 0.
    pub position: usize,
    /// What is wrong with it.
    pub problem: PatternProblem,
}

/// What can be wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// It does not begin with `/`.
    #[error("a pattern begins with a slash: write {suggestion:?}")]
    NoLeadingSlash {
        /// The pattern with a slash before it.
        suggestion: String,
    },
    /// A colon without a name.
    #[error("this parameter has no name: write \":id\"")]
    UnnamedParameter,
    /// A name with other characters than letters, digits and `_`, or with a digit first.
    #[error(
        "\":{name}\" is not a parameter: a name is letters, digits and \"_\", without a digit first, and fills the \
         whole segment: write {suggestion:?}"
    )]
    BadParameterName {
        /// The name.
        name: String,
        /// What was probably meant.
        suggestion: String,
    },
    /// Two parameters of one name.
    #[error("there is a parameter \":{name}\" already: give this one another name")]
    DuplicateParameter {
        /// The name.
        name: String,
    },
    /// `*` before the last segment.
    #[error("\"*\" takes the rest of the path, so nothing follows it: write \":name\" for a single segment")]
    WildcardNotLast,
    /// `*` beside other characters.
    #[error("\"*\" is a whole segment, the last one: write \"/files/*\", not \"/files*\" or \"/*.js\"")]
    WildcardInSegment,
    /// `{name}`, as other routers write it.
    #[error("braces mean nothing here: write \":id\" for a parameter")]
    Brace,
    /// `?` or `#`.
    #[error(
        "only the path is matched, never the query or the fragment: end the pattern before {character:?}"
    )]
    NotPath {
        /// The character.
        character: char,
    },
    /// A percent sign without two hexadecimal digits.
    #[error("\"%\" is followed by two hexadecimal digits: write \"%25\" for the percent sign itself")]
    BadEscape,
    /// `.` or `..`
    #[error("no client sends a segment {segment:?} (RFC 3986 §5.2.4): write the path it leads to")]
    DotSegment {
        /// The segment.
        segment: String,
    },
    /// More than [`MAX_SEGMENTS`].
    #[error("more than {MAX_SEGMENTS} segments: write \"*\" for the rest of the path")]
    TooManySegments,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it breaks a rule given at [`Pattern`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let fail = |position, problem| PatternError {
            pattern: text.to_owned(),
            position,
            problem,
        };
        let Some(path) = text.strip_prefix('/') else {
            return Err(fail(
                0,
                PatternProblem::NoLeadingSlash {
                    suggestion: format!("/{text}"),
                },
            ));
        };
        let mut segments = Vec::new();
        let mut position = 1;
        for part in path.split('/') {
            if segments.len() == MAX_SEGMENTS {
                return Err(fail(position, PatternProblem::TooManySegments));
            }
            if let Some(Segment::Wildcard) = segments.last() {
                return Err(fail(position - 2, PatternProblem::WildcardNotLast));
            }
            let segment =
                parse_segment(part).map_err(|(offset, problem)| fail(position + offset, problem))?;
            if let (Segment::Parameter(name), true) = (&segment, segments.contains(&segment)) {
                return Err(fail(
                    position,
                    PatternProblem::DuplicateParameter { name: name.clone() },
                ));
            }
            segments.push(segment);
            position += part.len() + 1;
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Index of the segment and name of each parameter.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.segments
            .iter()
            .enumerate()
            .filter_map(|(index, segment)| match segment {
                Segment::Parameter(name) => Some((index, name.as_str())),
                _ => None,
            })
    }

    /// Index of the segment where the wildcard stands.
    pub(super) fn wildcard(&self) -> Option<usize> {
        self.segments
            .iter()
            .position(|segment| *segment == Segment::Wildcard)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// On failure: the offset in `part`, and the problem.
fn parse_segment(part: &str) -> Result<Segment, (usize, PatternProblem)> {
    if let Some((offset, character)) = part
        .char_indices()
        .find(|(_, character)| matches!(character, '?' | '#'))
    {
        return Err((offset, PatternProblem::NotPath { character }));
    }
    if let Some(name) = part.strip_prefix(':') {
        return check_name(name).map_err(|problem| (0, problem));
    }
    if part == "*" {
        return Ok(Segment::Wildcard);
    }
    if let Some(offset) = part.find('*') {
        return Err((offset, PatternProblem::WildcardInSegment));
    }
    if let Some(offset) = part.find(['{', '}']) {
        return Err((offset, PatternProblem::Brace));
    }
    if let Some((offset, _)) = part
        .match_indices('%')
        .find(|(at, _)| escape_value(&part.as_bytes()[*at..]).is_none())
    {
        return Err((offset, PatternProblem::BadEscape));
    }
    let literal = normalize(&encode(part));
    if matches!(literal.as_slice(), b"." | b"..") {
        return Err((
            0,
            PatternProblem::DotSegment {
                segment: part.to_owned(),
            },
        ));
    }
    Ok(Segment::Literal(literal))
}

fn check_name(name: &str) -> Result<Segment, PatternProblem> {
    if name.is_empty() {
        return Err(PatternProblem::UnnamedParameter);
    }
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if name.chars().all(is_name) && !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(Segment::Parameter(name.to_owned()));
    }
    let kept: String = name.chars().take_while(|&character| is_name(character)).collect();
    let suggestion = match kept.chars().next() {
        None => ":id".to_owned(),
        Some(first) if first.is_ascii_digit() => format!(":_{kept}"),
        Some(_) => format!(":{kept}"),
    };
    Err(PatternProblem::BadParameterName {
        name: name.to_owned(),
        suggestion,
    })
}

/// Percent-encodes what cannot stand in a path (RFC 3986 §3.3); keeps escapes.
fn encode(part: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte) {
            encoded.push(byte);
        } else {
            let [high, low] = hex_digits(byte);
            encoded.extend([b'%', high, low]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (usize, PatternProblem) {
        let error = Pattern::parse(text).unwrap_err();
        assert_eq!(error.pattern, text);
        (error.position, error.problem)
    }

    fn literals(text: &str) -> Vec<String> {
        let literal = |segment: &Segment| match segment {
            Segment::Literal(literal) => String::from_utf8(literal.clone()).unwrap(),
            other => panic!("{other:?} is no literal"),
        };
        Pattern::parse(text)
            .unwrap()
            .segments
            .iter()
            .map(literal)
            .collect()
    }

    #[test]
    fn segments_are_literals_parameters_and_a_wildcard() {
        let pattern = Pattern::parse("/a/:id/b:c/:_x1/*").unwrap();
        assert_eq!(pattern.as_str(), "/a/:id/b:c/:_x1/*");
        assert_eq!(pattern.parameters().collect::<Vec<_>>(), [(1, "id"), (3, "_x1")]);
        assert_eq!(pattern.wildcard(), Some(4));
        assert_eq!(literals("/"), [""]);
        assert_eq!(literals("/a/"), ["a", ""]);
    }

    #[test]
    fn literals_are_kept_as_a_client_sends_them() {
        assert_eq!(literals("/caf\u{e9}/a b"), ["caf%C3%A9", "a%20b"]);
        assert_eq!(literals("/%7euser/a%2fb"), ["~user", "a%2Fb"]);
        assert_eq!(literals("/@a/b;c=d,e/(f)"), ["@a", "b;c=d,e", "(f)"]);
    }

    #[test]
    fn a_missing_slash_is_named_with_the_pattern_that_has_it() {
        let suggestion = || "/users/:id".to_owned();
        assert_eq!(
            problem("users/:id"),
            (
                0,
                PatternProblem::NoLeadingSlash {
                    suggestion: suggestion()
                }
            )
        );
        assert_eq!(problem("").0, 0);
        let text = Pattern::parse("users/:id").unwrap_err().to_string();
        assert_eq!(
            text,
            r#"pattern "users/:id", at byte 0: a pattern begins with a slash: write "/users/:id""#
        );
    }

    #[test]
    fn bad_parameters_are_refused_where_they_stand() {
        let bad = |name: &str, suggestion: &str| PatternProblem::BadParameterName {
            name: name.to_owned(),
            suggestion: suggestion.to_owned(),
        };
        assert_eq!(problem("/users/:"), (7, PatternProblem::UnnamedParameter));
        assert_eq!(problem("/users/:id.json"), (7, bad("id.json", ":id")));
        assert_eq!(problem("/:1st"), (1, bad("1st", ":_1st")));
        assert_eq!(problem("/:-"), (1, bad("-", ":id")));
        assert_eq!(problem("/:id(\\d+)"), (1, bad("id(\\d+)", ":id")));
        assert_eq!(problem("/:a-:b"), (1, bad("a-:b", ":a")));
        assert_eq!(
            problem("/:a/:b/:a"),
            (7, PatternProblem::DuplicateParameter { name: "a".to_owned() })
        );
        assert_eq!(problem("/users/{id}"), (7, PatternProblem::Brace));
    }

    #[test]
    fn a_wildcard_is_the_whole_last_segment() {
        assert_eq!(problem("/a/*/b"), (3, PatternProblem::WildcardNotLast));
        assert_eq!(problem("/*/"), (1, PatternProblem::WildcardNotLast));
        assert_eq!(problem("/a/b*"), (4, PatternProblem::WildcardInSegment));
        assert_eq!(problem("/**"), (1, PatternProblem::WildcardInSegment));
    }

    #[test]
    fn what_can_never_match_is_refused() {
        assert_eq!(problem("/a?b=c"), (2, PatternProblem::NotPath { character: '?' }));
        assert_eq!(problem("/:id?"), (4, PatternProblem::NotPath { character: '?' }));
        assert_eq!(problem("/a#b"), (2, PatternProblem::NotPath { character: '#' }));
        assert_eq!(problem("/100%"), (4, PatternProblem::BadEscape));
        assert_eq!(problem("/%zz"), (1, PatternProblem::BadEscape));
        assert_eq!(problem("/%4\u{e9}"), (1, PatternProblem::BadEscape));
        assert_eq!(
            problem("/a/../b"),
            (
                3,
                PatternProblem::DotSegment {
                    segment: "..".to_owned()
                }
            )
        );
        assert_eq!(
            problem("/%2e"),
            (
                1,
                PatternProblem::DotSegment {
                    segment: "%2e".to_owned()
                }
            )
        );
    }

    #[test]
    fn the_number_of_segments_is_bounded() {
        assert!(Pattern::parse(&"/a".repeat(MAX_SEGMENTS)).is_ok());
        let (position, problem) = problem(&"/a".repeat(MAX_SEGMENTS + 1));
        assert_eq!(
            (position, problem),
            (MAX_SEGMENTS * 2 + 1, PatternProblem::TooManySegments)
        );
    }
}
