#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| procession_jobs::fuzzing::lines(data));
