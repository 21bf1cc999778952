//! The values of the settings that an application brings. [`super::values::Settings`] carries them; only the
//! application knows their type, a plain struct.

use std::any::Any;
use std::fmt;

/// The values that the rows of an application have read; empty if it brings none.
#[derive(Default)]
pub struct ApplicationValues(Vec<Box<dyn Erased>>);

impl ApplicationValues {
    /// The struct `T`, if a row has written to it.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.iter().find_map(|it| it.as_any().downcast_ref())
    }

    /// The struct `T`, made by `T::default()` if no row has written to it yet.
    pub fn get_mut<T>(&mut self) -> &mut T
    where
        T: Any + Clone + Default + fmt::Debug + PartialEq + Send + Sync,
    {
        let at = self.0.iter().position(|it| it.as_any().is::<T>());
        let at = at.unwrap_or_else(|| {
            self.0.push(Box::new(T::default()));
            self.0.len() - 1
        });
        let found = self.0[at].as_any_mut().downcast_mut();
        found.expect("it was looked for by its type")
    }
}

/// The operations on a struct of unknown type.
trait Erased: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn cloned(&self) -> Box<dyn Erased>;
    fn equals(&self, other: &dyn Erased) -> bool;
}

impl<T: Any + Clone + fmt::Debug + PartialEq + Send + Sync> Erased for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Erased) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }
}

impl Clone for ApplicationValues {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|it| (**it).cloned()).collect())
    }
}

impl PartialEq for ApplicationValues {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs.all(|(one, other)| (**one).equals(&**other))
    }
}

impl fmt::Debug for ApplicationValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq)]
    struct Shop {
        tills: u32,
    }

    #[derive(Debug, Clone, Default, PartialEq)]
    struct Other(bool);

    #[test]
    fn each_struct_is_found_by_its_type() {
        let mut values = ApplicationValues::default();
        assert_eq!(values.get::<Shop>(), None);
        values.get_mut::<Shop>().tills = 3;
        values.get_mut::<Other>().0 = true;
        assert_eq!(values.get_mut::<Shop>().tills, 3);
        let copy = values.clone();
        assert_eq!(copy, values);
        values.get_mut::<Shop>().tills = 4;
        assert_ne!(copy, values);
        assert_eq!(copy.get(), Some(&Shop { tills: 3 }));
        assert_eq!(format!("{copy:?}"), "[Shop { tills: 3 }, Other(true)]");
    }
}
