//! Turn images to grayscale, one image a task.
//!
//! `grayscale [IMAGE...]`: `photos/cat.jpg` becomes `photos/processed_cat.jpg`.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use image::{ImageResult, RgbImage};
use procession::Pool;

/// Returns the size, and the new file's path. A decoder that crashes or never ends would cost this image only.
fn process_image(path: PathBuf) -> Result<((u32, u32), PathBuf), String> {
    let convert = || -> ImageResult<_> {
        let image = image::open(&path)?.into_luma8();
        // Only the name is changed: the image may lie in another folder.
        let mut name = OsString::from("processed_");
        name.push(path.file_name().unwrap_or_default());
        let target = path.with_file_name(name);
        image.save(&target)?;
        Ok((image.dimensions(), target))
    };
    convert().map_err(|e| format!("failed to convert {}: {e}", path.display()))
}

/// Three colourful images, and a file that is none.
fn make_images(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let paths: Vec<PathBuf> = (1..=4).map(|i| folder.join(format!("image{i}.jpg"))).collect();
    for (path, scale) in paths.iter().zip(1..=3) {
        let colour = |x: u32, y: u32| image::Rgb([x as u8, y as u8, (x + y) as u8]);
        RgbImage::from_fn(160 * scale, 120 * scale, colour).save(path)?;
    }
    std::fs::write(&paths[3], "not an image")?;
    Ok(paths)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let mut images: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if images.is_empty() {
        images = make_images(folder.path())?;
    }
    for outcome in Pool::new()?.imap(process_image, images)? {
        match outcome.result.map_err(|failure| failure.to_string()).and_then(|done| done) {
            Ok(((width, height), target)) => {
                println!("{}: {width}x{height}", target.file_name().unwrap_or_default().display());
            }
            Err(problem) => println!("Left out: {problem}"),
        }
    }
    Ok(())
}
