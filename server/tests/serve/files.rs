//! Documents and artefacts.

use super::support::{World, content, yaml};

#[test]
fn documents_signatures_and_scripts_are_handed_out_as_they_were_compiled() {
    let world = World::new();
    let server = world.start();
    for path in [
        "v1/board/ZM1.json",
        "v1/board/ZM1.json.minisig",
        "v1/ipxe/mac/52-54-00-00-00-01.ipxe",
        "v1/boot.ipxe",
        "v1/fleet.json",
    ] {
        let answer = server.get(&format!("/{path}"));
        assert_eq!((answer.status, answer.body), (200, content(&world.path("www").join(path))), "{path}");
    }
    assert_eq!(server.get("/v1/board/ZM9.json").status, 404);
    // New documents are taken over when the list is there, document and signature together.
    world.compile(&yaml("  r1-b03: {rack: r1, bay: 3, role: compute, board-serial: ZM9}\n"));
    server.until("reloaded", |status| status["sleds"].as_array().unwrap().len() == 3);
    assert_eq!(server.get("/v1/board/ZM9.json").status, 200);
}

#[test]
fn artefacts_come_whole_in_parts_and_not_at_all() {
    let world = World::new();
    let server = world.start();
    let path = "/images/compute/1/usr.squashfs";
    let bytes = content(&world.path("images/compute/1/usr.squashfs"));
    let whole = server.get(path);
    assert_eq!((whole.status, whole.header("content-length")), (200, Some("3000000")));
    assert!(whole.body == bytes);
    let (etag, modified) =
        (whole.header("etag").unwrap().to_owned(), whole.header("last-modified").unwrap().to_owned());
    let part = server.ask("GET", path, &format!("Range: bytes=1000000-2999998\r\nIf-Range: {etag}\r\n"), b"");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 1000000-2999998/3000000")));
    assert!(part.body == bytes[1_000_000..2_999_999]);
    let head = server.ask("HEAD", path, "Range: bytes=5-\r\n", b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (206, Some("2999995"), 0));
    assert_eq!(server.ask("GET", path, &format!("If-None-Match: {etag}\r\n"), b"").status, 304);
    assert_eq!(server.ask("GET", path, &format!("If-Modified-Since: {modified}\r\n"), b"").status, 304);
    let beyond = server.ask("GET", path, "Range: bytes=3000000-\r\n", b"");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3000000")));
    // Another file under the same name is not continued.
    std::fs::write(world.path("images/compute/1/usr.squashfs"), "new").unwrap();
    let other = server.ask("GET", path, &format!("Range: bytes=1-\r\nIf-Range: {etag}\r\n"), b"");
    assert_eq!((other.status, other.text().as_str()), (200, "new"));
    let document = server.ask("GET", "/v1/board/ZM1.json", "Range: bytes=0-9\r\n", b"");
    assert_eq!((document.status, document.body.len()), (206, 10));
    for missing in ["/images/compute/1", "/images/compute", "/images", "/images/compute/1/x", "/nowhere"] {
        assert_eq!(server.get(missing).status, 404, "{missing}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let world = World::new();
    let server = world.start();
    let page = server.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'")
    );
    let mut all = page.text();
    for file in ["app.js", "bind.js", "detail.js", "page.css", "icon.svg"] {
        let file = server.get(&format!("/page/{file}"));
        assert_eq!(file.status, 200);
        all += &file.text();
    }
    // Names of XML's vocabularies are no addresses that are fetched.
    let outside: Vec<_> = all
        .match_indices("//")
        .filter(|(at, _)| all[..*at].ends_with(':') && !all[*at..].starts_with("//www.w3.org/"))
        .collect();
    assert_eq!(outside, []);
}
