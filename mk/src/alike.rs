//! Finds what was meant by a name that nothing has.

/// How alike two names are, from 0 to 1, of which one may be meant by the other.
const ALIKE: f64 = 0.8;

/// The name that is most like `name`, if any is much like it.
pub(crate) fn meant<'a>(names: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let alike = names.map(|it| (strsim::jaro(it, name), it));
    let most = alike.max_by(|one, other| one.0.total_cmp(&other.0));
    most.filter(|(alike, _)| *alike >= ALIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let names = || ["hello", "httpd", "https"].into_iter();
        assert_eq!(meant(names(), "helo"), Some("hello"));
        assert_eq!(meant(names(), "htpd"), Some("httpd"));
        assert_eq!(meant(names(), "redis"), None);
    }
}
