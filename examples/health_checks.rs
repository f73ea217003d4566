//! Ask several servers at once whether they are well. One does not answer at all, and costs its own check only.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use procession::Pool;

/// The status of the answer. It sets no timeouts: the pool's is enough, wherever a check hangs.
fn check_server_health(address: SocketAddr) -> Result<String, String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut status_line = String::new();
        BufReader::new(stream).read_line(&mut status_line)?;
        Ok(status_line)
    };
    let status_line = ask().map_err(|e| e.to_string())?;
    match status_line.trim_end().split_once(' ') {
        Some((_, status)) if status.starts_with("200") => Ok(status.to_string()),
        Some((_, status)) => Err(status.to_string()),
        None => Err("the answer is not HTTP".to_string()),
    }
}

/// Starts a server that always gives the same answer, or none.
fn start_server(answer: Option<&'static str>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let mut kept_waiting = Vec::new();
        for mut stream in listener.incoming().flatten() {
            // Up to the empty line after the headers.
            BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            match answer {
                Some(status) => drop(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")),
                None => kept_waiting.push(stream),
            }
        }
    });
    Ok(address)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let well = Some("200 OK");
    let answers = [well, well, None, Some("503 Service Unavailable"), well];
    let mut servers = answers.into_iter().map(start_server).collect::<io::Result<Vec<_>>>()?;
    // Nobody listens there.
    servers.push("127.0.0.1:1".parse()?);

    let start = Instant::now();
    // Checks wait more than they compute: as many workers as servers, whatever the number of cores.
    let pool = Pool::builder().workers(servers.len()).timeout(Duration::from_secs(2)).build()?;
    for outcome in pool.imap(check_server_health, servers)? {
        let server = outcome.index + 1;
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|status| status) {
            Ok(status) => println!("Server server{server} is healthy: {status}"),
            Err(problem) => println!("Server server{server} is not healthy: {problem}"),
        }
    }
    println!("Health check completed in: {:.2?}", start.elapsed());
    Ok(())
}
