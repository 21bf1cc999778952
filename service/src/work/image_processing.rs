//! `image_processing`: `image` (base64, PNG or JPEG) at another size. With `width` and `height` it fits within both and
//! keeps its proportions, or with `fit` `exact` has exactly that size; if one is missing, it follows from the other.
//! `format` is `png` or `jpeg`, by default that of the image.

use std::io::Cursor;

use anyhow::Context;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde_json::{Value, json};

use super::parameters::{Parameters, to_base64, wrong};
use super::{NoteProgress, WorkError};

/// The maximum width and height, before and after.
const MOST_IN: u32 = 10_000;
const MOST_OUT: u32 = 4_096;
/// The maximum memory for decoding, in bytes.
const MEMORY: u64 = 64 * 1024 * 1024;
/// Maximum pixels of the intermediate image, which has the new height and the old width: resizing takes 16 bytes per
/// pixel.
const MOST_BETWEEN: u64 = 4_096 * 4_096;

pub(super) fn perform(
    parameters: Parameters<'_>,
    progress: &mut NoteProgress<'_>,
) -> Result<Value, WorkError> {
    let (image, came_as) = decode(parameters.bytes("image")?)?;
    let format = match parameters.text("format")?.as_deref() {
        None => came_as,
        Some("png") => ImageFormat::Png,
        Some("jpeg" | "jpg") => ImageFormat::Jpeg,
        Some(_) => return Err(wrong("format", "must be png or jpeg")),
    };
    let (width, height) = ResizeTarget::read(parameters)?.size(image.width(), image.height());
    if u64::from(image.width()) * u64::from(height) > MOST_BETWEEN {
        let most = MOST_BETWEEN / u64::from(image.width());
        let problem = format!("must be at most {most} for an image that is so wide");
        return Err(wrong("height", &problem));
    }
    progress(40)?;
    let image = image.resize_exact(width, height, FilterType::Lanczos3);
    progress(80)?;
    let bytes = encode(&image, format)?;
    Ok(json!({
        "width": image.width(),
        "height": image.height(),
        "format": if format == ImageFormat::Png { "png" } else { "jpeg" },
        "size": bytes.len(),
        "image": to_base64(&bytes),
    }))
}

fn decode(bytes: Vec<u8>) -> Result<(DynamicImage, ImageFormat), WorkError> {
    let unreadable = |problem: &str| wrong("image", &format!("cannot be read: {problem}"));
    let open = || {
        let reader = ImageReader::new(Cursor::new(&bytes[..]));
        reader
            .with_guessed_format()
            .context("the image's first bytes")
    };
    let mut reader = open()?;
    let format = reader
        .format()
        .filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg))
        .ok_or_else(|| unreadable("it is neither PNG nor JPEG"))?;
    let head = open()?
        .into_decoder()
        .map_err(|error| unreadable(&error.to_string()))?;
    let (width, height) = head.dimensions();
    // The pixel formats differ in size.
    let most = MEMORY / u64::from(head.color_type().bytes_per_pixel());
    if width.max(height) > MOST_IN || u64::from(width) * u64::from(height) > most {
        let problem = format!(
            "has {width} x {height} pixels; at most {MOST_IN} each way are taken, and of this kind {most} in all"
        );
        return Err(wrong("image", &problem));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_IN);
    limits.max_image_height = Some(MOST_IN);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    let image = reader
        .decode()
        .map_err(|error| unreadable(&error.to_string()))?;
    Ok((image, format))
}

fn encode(image: &DynamicImage, format: ImageFormat) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    if format == ImageFormat::Jpeg {
        // JPEG has no transparency.
        DynamicImage::from(image.to_rgb8()).write_to(&mut bytes, format)?;
    } else {
        image.write_to(&mut bytes, format)?;
    }
    Ok(bytes.into_inner())
}

/// The requested size.
#[derive(Debug, Clone, Copy)]
enum ResizeTarget {
    Width(u32),
    Height(u32),
    Within(u32, u32),
    Exact(u32, u32),
}

impl ResizeTarget {
    fn read(parameters: Parameters<'_>) -> Result<Self, WorkError> {
        let side = |name| parameters.number(name, MOST_OUT);
        let (width, height) = (side("width")?, side("height")?);
        let fit = parameters.text("fit")?;
        match (width, height, fit.as_deref().unwrap_or("contain")) {
            (None, None, _) => Err(wrong("width", "or height must be there")),
            (Some(width), Some(height), "contain") => Ok(Self::Within(width, height)),
            (Some(width), Some(height), "exact") => Ok(Self::Exact(width, height)),
            (Some(width), None, "contain") => Ok(Self::Width(width)),
            (None, Some(height), "contain") => Ok(Self::Height(height)),
            (_, _, "exact") => Err(wrong("fit", "exact needs width and height")),
            _ => Err(wrong("fit", "must be contain or exact")),
        }
    }

    /// The new size of an image; neither side is larger than [`MOST_OUT`].
    fn size(self, width: u32, height: u32) -> (u32, u32) {
        let (most_width, most_height) = match self {
            Self::Exact(width, height) => return (width, height),
            Self::Within(width, height) => (width, height),
            Self::Width(width) => (width, MOST_OUT),
            Self::Height(height) => (MOST_OUT, height),
        };
        let (width, height) = (f64::from(width), f64::from(height));
        let scale = (f64::from(most_width) / width).min(f64::from(most_height) / height);
        let scaled = |side: f64, most: u32| ((side * scale).round() as u32).clamp(1, most);
        (scaled(width, most_width), scaled(height, most_height))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::perform;
    use super::*;
    use crate::model::TaskType;

    fn process(parameters: Value) -> Result<Value, String> {
        perform(TaskType::ImageProcessing, parameters)
    }

    fn picture(width: u32, height: u32) -> String {
        let image = DynamicImage::new_rgba8(width, height);
        to_base64(&encode(&image, ImageFormat::Png).expect("a PNG"))
    }

    #[test]
    fn an_image_takes_the_size_asked_for() {
        for (asked, size) in [
            (json!({"width": 10}), (10, 5)),
            (json!({"height": 10}), (20, 10)),
            (json!({"width": 10, "height": 10}), (10, 5)),
            (json!({"width": 10, "height": 10, "fit": "exact"}), (10, 10)),
            (json!({"width": 80, "format": "jpeg"}), (80, 40)),
        ] {
            let mut parameters = asked.clone();
            parameters["image"] = picture(40, 20).into();
            let result = process(parameters).expect("a picture");
            assert_eq!(
                (&result["width"], &result["height"]),
                (&json!(size.0), &json!(size.1))
            );
            let again = json!({"image": result["image"], "width": 4});
            let again = process(again).expect("a picture that can be read");
            assert_eq!(again["format"], result["format"], "{asked}");
        }
    }

    #[test]
    fn a_limit_is_told_in_pixels() {
        let image = DynamicImage::new_luma8(10_001, 1);
        let wide = to_base64(&encode(&image, ImageFormat::Png).expect("a PNG"));
        let error = process(json!({"image": wide, "width": 1})).expect_err("refused");
        assert!(
            error.contains("has 10001 x 1 pixels; at most 10000 each way"),
            "{error}"
        );
        let image = DynamicImage::new_rgba16(4_000, 4_000);
        let heavy = to_base64(&encode(&image, ImageFormat::Png).expect("a PNG"));
        let error = process(json!({"image": heavy, "width": 1})).expect_err("refused");
        assert!(error.contains("of this kind 8388608 in all"), "{error}");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let mut bomb = picture(3, 3);
        bomb.truncate(40);
        for bad in [
            json!({"width": 1}),
            json!({"image": "YWJj", "width": 1}),
            json!({"image": bomb, "width": 1}),
            json!({"image": picture(2, 2)}),
            json!({"image": picture(2, 2), "width": 0}),
            json!({"image": picture(2, 2), "width": 5000}),
            json!({"image": picture(2, 2), "width": 1, "fit": "exact"}),
            json!({"image": picture(2, 2), "width": 1, "format": "bmp"}),
            json!({"image": picture(10_001, 1), "width": 1}),
            json!({"image": picture(10_000, 1), "width": 1, "height": 4096, "fit": "exact"}),
        ] {
            assert!(process(bad.clone()).is_err(), "{bad}");
        }
    }
}
