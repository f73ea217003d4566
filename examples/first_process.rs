//! Start a process, wait for it, look at its exit code.

use procession::Process;

fn print_message(_: ()) {
    println!("Hello from a new process!");
}

fn give_up(code: i32) {
    std::process::exit(code);
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let mut process = Process::spawn(print_message, ())?;
    println!("It ended with {}", process.join()?);

    let mut quitter = Process::builder().name("quitter").spawn(give_up, 3)?;
    println!("The quitter ended with {}", quitter.join()?);
    Ok(())
}
