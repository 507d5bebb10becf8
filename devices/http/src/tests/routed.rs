//! Handlers by method and path.

use super::*;

async fn told(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let of = |name| exchange.parameter(name).unwrap_or_else(|| "-".into());
    let text = format!("{} {} {}", of("id"), of("word"), of("rest"));
    exchange.respond(Status::OK, &[], text.as_bytes()).await
}

async fn fallback(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    exchange.respond(Status(418), &[], b"").await
}

/// The status, the content and the field Allow of the answer to a request.
fn asked(handler: &impl Handler, request: &str) -> (u16, String, String) {
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (answer, reset, _) = served_by(handler, 0, &[sends(&request)]);
    assert!(!reset, "{answer}");
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    let allow = head.split("\r\nAllow: ").nth(1).map(|it| it.split("\r\n").next().unwrap());
    (head[9..12].parse().unwrap(), content.into(), allow.unwrap_or_default().into())
}

#[test]
fn the_first_route_that_matches_is_taken_with_its_parameters() {
    let inner = Router::new().get("/", told).get("/{word}", told);
    let router = Router::new()
        .get("/notes", told)
        .get("/notes/{id}", told)
        .put("/notes/{id}", told)
        .get("/notes/special", fallback)
        .get("/files/{*rest}", told)
        .mount("/inner", inner);
    for (request, status, content) in [
        ("GET /notes", 200, "- - -"),
        ("GET /notes/7", 200, "7 - -"),
        ("PUT /notes/a%20b?x=y", 200, "a b - -"),
        ("GET /notes/special", 200, "special - -"),
        ("GET /notes/%ff", 200, "- - -"),
        ("HEAD /notes/7", 200, ""),
        ("GET /files/a/b", 200, "- - a/b"),
        ("GET /files/", 200, "- - "),
        ("GET /inner", 200, "- - -"),
        ("GET /inner/", 200, "- - -"),
        ("GET /inner/x", 200, "- x -"),
        ("GET /inner/x/y", 404, "There is no such page.\n"),
        ("GET /innermost", 404, "There is no such page.\n"),
        ("GET /notes/", 404, "There is no such page.\n"),
        ("GET /notes/7/", 404, "There is no such page.\n"),
        ("GET /", 404, "There is no such page.\n"),
    ] {
        let (found, text, _) = asked(&router, request);
        assert_eq!((found, &*text), (status, content), "{request}");
    }
}

#[test]
fn other_methods_are_told_which_there_are() {
    let router = Router::new().get("/a", told).post("/a", told).delete("/b", told);
    for (request, status, allow) in [
        ("PUT /a", 405, "GET, HEAD, POST, OPTIONS"),
        ("OPTIONS /a", 204, "GET, HEAD, POST, OPTIONS"),
        ("GET /b", 405, "DELETE, OPTIONS"),
        ("OPTIONS /c", 404, ""),
    ] {
        let (found, _, said) = asked(&router, request);
        assert_eq!((found, &*said), (status, allow), "{request}");
    }
    let router = router.fallback(fallback);
    assert_eq!(asked(&router, "PUT /a").0, 418);
    assert_eq!(asked(&router, "GET /c").0, 418);
    assert_eq!(asked(&router, "GET /a").0, 200);
}

#[test]
fn what_is_logged_is_answered_as_before() {
    let router = AccessLog::new(Router::new().get("/{id}", told));
    assert_eq!(asked(&router, "GET /7"), (200, "7 - -".into(), String::new()));
    assert_eq!(asked(&router, &format!("GET /{}", "a".repeat(300))).0, 200);
    assert_eq!(asked(&router, "POST /7").0, 405);
}

#[test]
fn a_line_of_the_access_log_is_as_servers_have_it_and_bounded() {
    async fn logged(exchange: &mut Exchange<'_>) -> Result<(), Error> {
        exchange.respond(Status::NOT_FOUND, &[], b"abc").await?;
        let took = Duration::from_micros(1500);
        let entry = access::Entry { exchange, status: 404, date: 784_111_777, took };
        let (line, target) = (format!("{entry}"), exchange.request().target_text());
        let target = &target[..target.len().min(200)];
        assert_eq!(
            line,
            format!(
                "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"POST {target} HTTP/1.1\" 404 3 1500"
            )
        );
        Ok(())
    }
    assert_eq!(asked(&logged, "POST /a%22?b=c").0, 404);
    assert_eq!(asked(&logged, &format!("POST /{}", "a".repeat(300))).0, 404);
}

#[test]
fn problems_are_told_in_json_and_keep_the_connection() {
    async fn refusing(exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let id = exchange.parameter("id").unwrap_or_default();
        match &*id {
            "gone" => Err(Error::Request(Status(410))),
            "busy" => Err(Error::Request(Status::UNAVAILABLE)),
            "late" => {
                exchange.stream(Status::OK, &[], None).await?;
                Err(Error::Request(Status(410)))
            }
            _ => exchange.refuse(Status(409), format_args!("{id}")).await,
        }
    }
    let router = Router::new().get("/{id}", refusing);
    let router = ProblemDetails::new(router);
    for (request, status, content) in [
        ("GET /gone", 410, r#"{"title":"Gone","status":410}"#),
        ("HEAD /gone", 410, ""),
        ("GET /busy", 503, r#"{"title":"Service Unavailable","status":503}"#),
        (
            "GET /%22a%5Cb%0A%C3%A9%7F",
            409,
            "{\"title\":\"Conflict\",\"status\":409,\"detail\":\"\\u0022a\\u005cb\\u000a\u{e9}\\u007f\"}",
        ),
        ("GET /", 404, r#"{"title":"Not Found","status":404,"detail":"There is no such page"}"#),
        (
            "PUT /x",
            405,
            r#"{"title":"Method Not Allowed","status":405,"detail":"The method is not allowed here"}"#,
        ),
    ] {
        let (found, text, _) = asked(&router, request);
        assert_eq!((found, &*text), (status, content), "{request}");
    }
    // The connection is not closed.
    let request = "GET /gone HTTP/1.1\r\nHost: x\r\n\r\nGET /busy HTTP/1.1\r\nHost: x\r\n\r\n";
    let (answer, ..) = served_by(&router, 0, &[sends(request)]);
    assert!(answer.contains("410 Gone") && answer.contains("503 Service"), "{answer}");
    assert!(
        answer.contains("Content-Type: application/problem+json\r\nRetry-After: 1\r\n"),
        "{answer}"
    );
    // What has begun is cut off.
    let late = "GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
    let (answer, reset, _) = served_by(&router, 0, &[sends(late)]);
    assert!(reset && !answer.contains("Gone"), "{answer}");
}
