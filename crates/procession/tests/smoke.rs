//! First light.
use procession::*;
fn square(n: u64) -> u64 {
    n * n
}
#[test]
fn map_works() {
    let pool = Pool::builder().workers(2).build().unwrap();
    assert_eq!(pool.map(square, 1..=5).unwrap(), [1, 4, 9, 16, 25]);
    let n = 100_000;
    assert_eq!(pool.map(square, 0..n).unwrap(), (0..n).map(|n| n * n).collect::<Vec<_>>());
    assert_eq!(pool.apply(square, 9).unwrap(), 81);
    println!("{:#?}", pool.stats());
    pool.join();
}
