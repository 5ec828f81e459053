//! Which server the environment asks for.

use std::ffi::OsString;
#[cfg(feature = "testing-containers")]
use std::{ffi::OsStr, fmt};

const SERVER: &str = "FOREBAY_TEST_SERVER";
#[cfg(feature = "testing-containers")]
const IMAGE: &str = "FOREBAY_TEST_IMAGE";

/// The kinds of servers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Embedded,
    #[cfg(feature = "testing-containers")]
    Container(Image),
}

/// What to start a container of.
#[cfg(feature = "testing-containers")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// With the registry, where there is one.
    pub(super) name: String,
    pub(super) tag: String,
}

/// What is wrong with the environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    #[error("FOREBAY_TEST_SERVER is {0:?}: say `embedded` (the default) or `container`")]
    Server(OsString),
    #[cfg(not(feature = "testing-containers"))]
    #[error(
        "FOREBAY_TEST_SERVER is `container`, and these tests were built without containers: \
         add `--features forebay-embedded/testing-containers` to `cargo test`, or run `bin/test --containers`"
    )]
    NotBuilt,
    #[cfg(feature = "testing-containers")]
    #[error("FOREBAY_TEST_IMAGE is {0:?}: give name and tag of a Postgres image, such as `postgres:17-bookworm`")]
    Image(OsString),
}

impl Choice {
    pub(super) fn of_environment() -> Result<Self, Mistake> {
        Self::read(variable)
    }

    /// A variable that is empty counts as unset.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Mistake> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let Some(asked) = set(SERVER) else {
            return Ok(Self::Embedded);
        };
        match asked.to_str() {
            Some("embedded") => Ok(Self::Embedded),
            #[cfg(feature = "testing-containers")]
            Some("container") => Image::read(set(IMAGE).as_deref()).map(Self::Container),
            #[cfg(not(feature = "testing-containers"))]
            Some("container") => Err(Mistake::NotBuilt),
            _ => Err(Mistake::Server(asked)),
        }
    }
}

#[cfg(feature = "testing-containers")]
impl Image {
    /// The last colon divides, so that a registry may have a port and a digest (`name@sha256:…`) may be given.
    fn read(asked: Option<&OsStr>) -> Result<Self, Mistake> {
        let asked = asked.unwrap_or(OsStr::new("postgres:15-bookworm"));
        let parts = asked.to_str().and_then(|text| text.rsplit_once(':'));
        match parts.filter(|(name, tag)| !name.is_empty() && !tag.is_empty() && !tag.contains('/')) {
            Some((name, tag)) => Ok(Self { name: name.to_owned(), tag: tag.to_owned() }),
            None => Err(Mistake::Image(asked.to_owned())),
        }
    }
}

#[cfg(feature = "testing-containers")]
impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no main that could read it once")]
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(variables: &[(&str, &str)]) -> Result<Choice, Mistake> {
        Choice::read(|asked| {
            let found = variables.iter().find(|(name, _)| *name == asked);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn without_a_word_the_server_is_an_embedded_one() {
        for variables in [&[][..], &[(SERVER, "")], &[(SERVER, "embedded")], &[("FOREBAY_TEST_IMAGE", "nonsense")]] {
            assert_eq!(choice(variables), Ok(Choice::Embedded), "{variables:?}");
        }
    }

    #[test]
    fn a_server_of_another_name_is_a_mistake() {
        let mistake = choice(&[(SERVER, "docker")]).unwrap_err().to_string();
        assert_eq!(mistake, "FOREBAY_TEST_SERVER is \"docker\": say `embedded` (the default) or `container`");
    }

    #[cfg(not(feature = "testing-containers"))]
    #[test]
    fn a_container_that_was_not_built_in_says_how_to_build_it() {
        let mistake = choice(&[(SERVER, "container")]).unwrap_err().to_string();
        assert!(mistake.contains("--features forebay-embedded/testing-containers"), "{mistake}");
        assert!(mistake.contains("bin/test --containers"), "{mistake}");
    }

    #[cfg(feature = "testing-containers")]
    #[test]
    fn an_image_is_a_name_and_a_tag() {
        let image = |asked| match choice(&[(SERVER, "container"), (IMAGE, asked)])? {
            Choice::Container(image) => Ok((image.name, image.tag)),
            other => panic!("{other:?}"),
        };
        let parts = |name: &str, tag: &str| Ok((name.to_owned(), tag.to_owned()));
        assert_eq!(image(""), parts("postgres", "15-bookworm"));
        assert_eq!(image("postgres:17-alpine"), parts("postgres", "17-alpine"));
        assert_eq!(image("localhost:5000/our/postgres:18"), parts("localhost:5000/our/postgres", "18"));
        assert_eq!(image("postgres@sha256:0a1b"), parts("postgres@sha256", "0a1b"));
        for wrong in ["postgres", "localhost:5000/postgres", "postgres:", ":17"] {
            assert_eq!(image(wrong), Err(Mistake::Image(wrong.into())));
        }
    }
}
