//! Put a web server under load: many requests from several processes at once, then count answers and measure delays.
//!
//! The server is the program's own, and the number of requests is fixed.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use procession::Pool;

const PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests, one after the other; returns how often which status came, and all delays.
fn simulate_load((address, requests): (SocketAddr, usize)) -> (BTreeMap<String, usize>, Vec<Duration>) {
    let (mut statuses, mut delays) = (BTreeMap::new(), Vec::with_capacity(requests));
    for _ in 0..requests {
        let start = Instant::now();
        // A request that fails is a result, too.
        let status = request(address).unwrap_or_else(|e| e.kind().to_string());
        *statuses.entry(status).or_default() += 1;
        delays.push(start.elapsed());
    }
    (statuses, delays)
}

fn request(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 << 10).read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or("no status").to_string())
}

/// Starts a server that is too busy for every tenth request.
fn start_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let status = if number % 10 == 9 { "503 Service Unavailable" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 6\r\n\r\nhello\n");
        }
    });
    Ok(address)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let address = start_server()?;
    let (requests, processes) = (1000, 3);
    // What does not divide evenly is not lost: 334, 333, 333.
    let shares = (0..processes).map(|i| (address, requests / processes + usize::from(i < requests % processes)));

    let start = Instant::now();
    let pool = Pool::builder().workers(processes).build()?;
    let (mut statuses, mut delays) = (BTreeMap::<String, usize>::new(), Vec::new());
    for (of_process, delays_of_process) in pool.map(simulate_load, shares)? {
        for (status, count) in of_process {
            *statuses.entry(status).or_default() += count;
        }
        delays.extend(delays_of_process);
    }
    let elapsed = start.elapsed();
    delays.sort();
    println!("Requests: {}", delays.len());
    statuses.iter().for_each(|(status, count)| println!("Status {status}: {count}"));
    for percent in [50, 99, 100] {
        println!("Delay of {percent}%: at most {:.2?}", delays[delays.len() * percent / 100 - 1]);
    }
    println!("Rate: {:.0} requests/s", requests as f64 / elapsed.as_secs_f64());
    Ok(())
}
