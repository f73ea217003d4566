//! A dictionary in a process of its own, changed by another process through a proxy.

use procession::{DictProxy, Manager, Process};

fn update(status: DictProxy<String, String>) {
    status.insert("status".to_string(), "completed".to_string()).unwrap();
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let manager = Manager::new()?;
    let status = manager.dict()?;
    status.insert("status".to_string(), "in progress".to_string())?;
    Process::spawn(update, status.clone())?.join()?;
    println!("Final status: {}", status.get("status".to_string())?.unwrap_or_default());
    Ok(())
}
