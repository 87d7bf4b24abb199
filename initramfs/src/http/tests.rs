//! The client against servers that misbehave, each on a port of its own.

use super::*;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

/// A server that takes one connection after the other, reads one request from each
/// and gives it to `serve`, which may keep the connection as long as it likes.
fn server(serve: impl Fn(&str, TcpStream) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let socket = socket.unwrap();
            let request = request(&socket);
            let _ = sender.send(request.clone());
            serve(&request, socket);
        }
    });
    (url, requests)
}

fn request(socket: &TcpStream) -> String {
    let mut reader = BufReader::new(socket);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).unwrap() == 0 {
            return text;
        }
    }
    let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

/// Answers everything with these bytes and closes.
fn answers(bytes: &'static str) -> (String, Receiver<String>) {
    server(move |_, mut socket| drop(socket.write_all(bytes.as_bytes())))
}

fn client() -> Client {
    Client::new(Limits {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(200),
        rate: 1000,
        window: Duration::from_millis(300),
        total: None,
    })
}

fn fetch(url: &str) -> Result<Vec<u8>, Error> {
    client().get(url, 0)?.read_all(1000)
}

fn error(url: &str) -> String {
    fetch(url).unwrap_err().to_string()
}

#[test]
fn a_body_is_known_by_its_length_by_chunks_or_by_the_end() {
    let (url, requests) = answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more");
    assert_eq!(fetch(&url).unwrap(), b"hello");
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    let (url, _) = answers(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n02\r\nlo\r\n0\r\nA: b\r\n\r\n",
    );
    assert_eq!(fetch(&url).unwrap(), b"hello");
    let (url, _) = answers("HTTP/1.0 200 OK\r\n\r\nhello");
    assert_eq!(fetch(&url).unwrap(), b"hello");
}

#[test]
fn a_range_is_honoured_or_ignored_and_the_reader_knows_which() {
    let (url, requests) = server(|request, mut socket| {
        let answer = if request.contains("Range: bytes=6-\r\n") {
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 6-10/11\r\nContent-Length: 5\r\n\r\nworld"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
        };
        socket.write_all(answer.as_bytes()).unwrap();
    });
    let response = client().get(&url, 6).unwrap();
    assert_eq!((response.status, response.start, response.length), (206, 6, Some(5)));
    assert_eq!(response.read_all(5).unwrap(), b"world");
    assert!(!{ client().get(&url, 0).unwrap() }.read_all(11).unwrap().is_empty());
    assert!(!requests.iter().nth(1).unwrap().contains("Range"));

    let (url, _) = answers("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world");
    let response = client().get(&url, 6).unwrap();
    assert_eq!((response.status, response.start, response.length), (200, 0, Some(11)));
}

#[test]
fn a_truncated_body_is_an_error_however_its_end_is_known() {
    let (url, _) = answers("HTTP/1.1 200 OK\r\nContent-Length: 5678\r\n\r\nhello");
    let mut response = client().get(&url, 0).unwrap();
    let mut bytes = Vec::new();
    let error = response.read_to_end(&mut bytes).unwrap_err();
    // What came before is not lost: a download goes on from there.
    assert_eq!(
        (error.to_string().as_str(), bytes.as_slice()),
        ("closed after 5 of 5678 bytes", &b"hello"[..])
    );
    for body in ["3\r\nhe", "3\r\nhel", "3\r\nhel\r\n", "3\r\nhel\r\n0\r\n"] {
        let (url, _) = server(move |_, mut socket| {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
        });
        assert!(self::error(&url).starts_with("closed after "), "{body:?}");
    }
}

#[test]
fn garbage_is_said_to_be_none() {
    let (url, _) = answers("220 smtp.example ESMTP\r\n\r\n");
    assert_eq!(error(&url), "the answer is not HTTP: its head is not understood");
    let (url, _) = answers("");
    assert_eq!(error(&url), "closed without an answer");
    let (url, _) = answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n");
    assert_eq!(error(&url), "the answer is not HTTP: a chunk without a length");
    let (url, _) = answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n");
    assert_eq!(error(&url), "the answer is not HTTP: a chunk longer than its length");
}

#[test]
fn what_comes_before_and_after_an_answer_has_an_end() {
    let ok = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
    let answer = |interim: usize, trailers: usize| {
        let text = "HTTP/1.1 103 Early\r\n\r\n".repeat(interim) + ok + &"A: b\r\n".repeat(trailers) + "\r\n";
        let (url, _) = server(move |_, mut socket| drop(socket.write_all(text.as_bytes())));
        fetch(&url).map_err(|error| error.to_string())
    };
    assert_eq!(answer(8, 64).unwrap(), b"ok");
    let none = |what: &str| format!("the answer is not HTTP: {what} without an end");
    assert_eq!(answer(9, 0).unwrap_err(), none("interim answers"));
    assert_eq!(answer(0, 65).unwrap_err(), none("trailers"));
}

#[test]
fn a_server_that_stalls_is_given_up() {
    // Before the head, and in the middle of the body; the connection stays open.
    for text in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"] {
        let (keep, kept) = channel();
        let (url, _) = server(move |_, mut socket| {
            socket.write_all(text.as_bytes()).unwrap();
            keep.send(socket).unwrap();
        });
        assert_eq!(error(&url), "nothing for 200ms", "{text}");
        drop(kept);
    }
}

#[test]
fn a_server_that_drips_is_given_up_and_so_is_one_that_is_late() {
    // A byte each 20 ms never stalls.
    let drip = |_: &str, mut socket: TcpStream| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
        while socket.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let (url, _) = server(drip);
    let Err(Error::Slow { bytes, .. }) = fetch(&url) else { panic!() };
    assert!(bytes < 300);
    let (url, _) = server(drip);
    let limits = Limits { total: Some(Duration::from_millis(100)), ..Limits::default() };
    let error = Client::new(limits).get(&url, 0).unwrap().read_all(1000).unwrap_err();
    assert_eq!(error.to_string(), "not complete within 100ms");
}

#[test]
fn nobody_there_is_said_as_the_kernel_says_it() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(error(&format!("http://{address}/")), format!("connection refused by {address}"));
    assert_eq!(error("http://no-such-name/"), "name no-such-name does not resolve: no name server is known");
}

#[test]
fn any_status_is_an_answer_and_retry_after_is_read() {
    let (url, _) = answers("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    let response = client().get(&url, 0).unwrap();
    assert_eq!((response.status, response.retry_after), (503, Some(Duration::from_secs(7))));
    let (url, _) = answers("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    let response = client().get(&url, 0).unwrap();
    assert_eq!((response.status, response.retry_after, response.length), (404, None, Some(2)));
}

#[test]
fn redirects_are_followed_and_not_for_ever() {
    let (url, requests) = server(|request, mut socket| {
        let answer = match request.split(' ').nth(1).unwrap() {
            "/a" => "HTTP/1.1 302 Found\r\nLocation: /b?c\r\n\r\n",
            "/b?c" => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            _ => "HTTP/1.1 301 Moved\r\nLocation: loop\r\n\r\n",
        };
        socket.write_all(answer.as_bytes()).unwrap();
    });
    assert_eq!(fetch(&format!("{url}/a")).unwrap(), b"ok");
    assert_eq!(error(&format!("{url}/loop")), format!("redirected more than 3 times, last to {url}/loop"));
    assert_eq!(requests.try_iter().count(), 2 + 4);
}

#[test]
fn more_than_the_reader_wants_is_an_error() {
    let (url, _) = answers("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
    assert_eq!(error(&url), "longer than 1000 bytes");
    let (url, _) = server(|_, mut socket| {
        let body = "x".repeat(1001);
        socket.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes()).unwrap();
    });
    assert_eq!(error(&url), "longer than 1000 bytes");
}

#[test]
fn a_post_carries_its_body_and_token_and_no_line_break_in_it() {
    let (url, requests) = answers("HTTP/1.1 204 No Content\r\n\r\n");
    let post = |token| client().post(&url, "application/json", Some(token), b"{}").unwrap();
    assert_eq!((post("abc").status, post("abc").length), (204, Some(0)));
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{}"), "{request}");
    assert!(request.contains("\r\nAuthorization: Bearer abc\r\n"), "{request}");
    requests.recv().unwrap();
    post("a\r\nb: c");
    assert!(!requests.recv().unwrap().contains("Authorization"));
}
