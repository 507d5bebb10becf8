//! Where clients of HTTP are sent.

use super::*;

#[test]
fn a_redirect_leaves_the_port() {
    for (authority, host) in
        [("a.b", "a.b"), ("a.b:8080", "a.b"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("", "")]
    {
        assert_eq!(without_port(authority), host, "{authority}");
    }
}
