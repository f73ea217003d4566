//! Tests of what a process does to itself for good run in a child: this test binary again, with one test.

use std::process::Command;

const VARIABLE: &str = "PROCESSION_OS_TEST_CHILD";

/// Runs `test`, the body of the test function `name`, in a child process.
pub fn run(name: &str, test: impl FnOnce()) {
    if std::env::var_os(VARIABLE).is_some() {
        return test();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([name, "--nocapture", "--test-threads=1"]).env(VARIABLE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}\n{said}",
        String::from_utf8_lossy(&output.stderr)
    );
}
