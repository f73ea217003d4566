//! Messages from one process to another, until there are no more.

use procession::{Pipe, Process, Receiver, Sender};

fn send(sender: Sender<String>) {
    for i in 0..5 {
        sender.send(format!("Message {i}")).unwrap();
    }
    // Its end is closed when it is dropped, here or by the end of the process.
}

fn receive((receiver, report): (Receiver<String>, Sender<String>)) {
    while let Ok(message) = receiver.recv() {
        report.send(format!("Received: {message}")).unwrap();
    }
    report.send("No more messages".to_string()).unwrap();
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let (receiver, sender) = Pipe::one_way()?;
    let (reports, report) = Pipe::one_way::<String>()?;
    // An end that is sent has left this process: so the receiver is told when the sender's is closed.
    let mut processes = [Process::spawn(send, sender)?, Process::spawn(receive, (receiver, report))?];
    while let Ok(line) = reports.recv() {
        println!("{line}");
    }
    for process in &mut processes {
        process.join()?;
    }
    Ok(())
}
