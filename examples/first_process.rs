//! Start a process, wait for it, look at its exit code.

use procession::Process;

fn greet(name: String) {
    println!("hello, {name}");
}

fn give_up(code: i32) {
    std::process::exit(code);
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let mut greeter = Process::builder().name("greeter").spawn(greet, "ops".to_string())?;
    println!("greeter ended: {}", greeter.join()?);
    let mut quitter = Process::spawn(give_up, 3)?;
    println!("quitter ended: {}", quitter.join()?);
    Ok(())
}
