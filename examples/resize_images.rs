//! Make thumbnails of 300 x 300 pixels of all `.jpg` images of a folder.
//!
//! `resize_images [IMAGES_FOLDER OUTPUT_FOLDER]`

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image::imageops::FilterType;
use image::{ImageResult, RgbImage};
use procession::Pool;

type Folders = (PathBuf, PathBuf);

/// The folders are the same for all tasks, so they are sent once to each worker.
fn resize_image((images, output): &Folders, filename: OsString) -> Result<OsString, String> {
    let resize = || -> ImageResult<()> {
        let image = image::open(images.join(&filename))?;
        image.resize_exact(300, 300, FilterType::CatmullRom).save(output.join(&filename))
    };
    resize().map_err(|e| format!("failed to resize {}: {e}", filename.display()))?;
    Ok(filename)
}

fn make_images(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir(folder)?;
    for i in 1..=6 {
        let colour = |x: u32, y: u32| image::Rgb([(x * i) as u8, (y * i) as u8, 128]);
        RgbImage::from_fn(640, 480, colour).save(folder.join(format!("photo{i}.jpg")))?;
    }
    fs::write(folder.join("notes.txt"), "no image, and left alone")?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let scratch = tempfile::tempdir()?;
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let folders: Folders = match &arguments[..] {
        [] => (scratch.path().join("images"), scratch.path().join("resized")),
        [images, output] => (images.clone(), output.clone()),
        _ => return Err("usage: resize_images [IMAGES_FOLDER OUTPUT_FOLDER]".into()),
    };
    if arguments.is_empty() {
        make_images(&folders.0)?;
    }
    fs::create_dir_all(&folders.1)?;
    let entries = fs::read_dir(&folders.0)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<OsString> = entries.into_iter().map(|entry| entry.file_name()).collect();
    files.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "jpg"));
    files.sort();

    let start = Instant::now();
    let pool = Pool::builder().workers(4).build()?;
    for resized in pool.map_with(&folders, resize_image, files)? {
        match resized {
            Ok(filename) => println!("Resized {}", filename.display()),
            Err(problem) => println!("Left out: {problem}"),
        }
    }
    println!("Total time: {:.2?}", start.elapsed());
    Ok(())
}
