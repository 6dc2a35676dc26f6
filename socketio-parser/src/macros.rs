//! `value!` and `args!`, which read like `serde_json::json!`.

/// Builds a [`Value`](crate::Value) from JSON syntax. A value may be any expression that converts
/// with `Value: From`, including binary.
///
/// ```
/// use socketio_parser::value;
///
/// let name = "a.png";
/// let value = value!({ "name": name, "body": bytes::Bytes::from("…"), "size": [2 + 2, null] });
/// assert!(value.get("body").is_some_and(|body| body.as_binary().is_some()));
/// ```
#[macro_export]
macro_rules! value {
    (null) => { $crate::Value::Null };
    ([ $($items:tt)* ]) => { $crate::Value::Array($crate::__items!([] $($items)*)) };
    ({}) => { $crate::Value::Object($crate::Object::new()) };
    ({ $($members:tt)+ }) => {{
        let mut object = $crate::Object::new();
        $crate::__members!(object () $($members)+);
        $crate::Value::Object(object)
    }};
    ($value:expr) => { $crate::Value::from($value) };
}

/// Builds an argument list, [`Values`](crate::Values). Each argument is written as in
/// [`value!`](crate::value).
///
/// ```
/// use socketio_parser::args;
///
/// assert_eq!(args!["hello", 2, { "deep": [true] }].0.len(), 3);
/// ```
#[macro_export]
macro_rules! args {
    ($($items:tt)*) => { $crate::Values($crate::__items!([] $($items)*)) };
}

/// Collects the items of an array. The finished items are in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! __items {
    ([$($done:expr),*]) => { ::std::vec![$($done),*] };
    ([$($done:expr),*] null $(, $($rest:tt)*)?) => {
        $crate::__items!([$($done,)* $crate::Value::Null] $($($rest)*)?)
    };
    ([$($done:expr),*] [$($item:tt)*] $(, $($rest:tt)*)?) => {
        $crate::__items!([$($done,)* $crate::value!([$($item)*])] $($($rest)*)?)
    };
    ([$($done:expr),*] {$($item:tt)*} $(, $($rest:tt)*)?) => {
        $crate::__items!([$($done,)* $crate::value!({$($item)*})] $($($rest)*)?)
    };
    ([$($done:expr),*] $item:expr $(, $($rest:tt)*)?) => {
        $crate::__items!([$($done,)* $crate::Value::from($item)] $($($rest)*)?)
    };
}

/// Collects the members of an object. The tokens of the current member are in the parentheses.
#[doc(hidden)]
#[macro_export]
macro_rules! __members {
    ($object:ident ()) => {};
    ($object:ident ($($key:tt)+) : null $(, $($rest:tt)*)?) => {
        $crate::__member!($object ($($key)+) $crate::Value::Null; $($($rest)*)?)
    };
    ($object:ident ($($key:tt)+) : [$($value:tt)*] $(, $($rest:tt)*)?) => {
        $crate::__member!($object ($($key)+) $crate::value!([$($value)*]); $($($rest)*)?)
    };
    ($object:ident ($($key:tt)+) : {$($value:tt)*} $(, $($rest:tt)*)?) => {
        $crate::__member!($object ($($key)+) $crate::value!({$($value)*}); $($($rest)*)?)
    };
    ($object:ident ($($key:tt)+) : $value:expr $(, $($rest:tt)*)?) => {
        $crate::__member!($object ($($key)+) $crate::Value::from($value); $($($rest)*)?)
    };
    ($object:ident ($($key:tt)*) $next:tt $($rest:tt)*) => {
        $crate::__members!($object ($($key)* $next) $($rest)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __member {
    ($object:ident ($($key:tt)+) $value:expr; $($rest:tt)*) => {
        $object.insert(::std::string::String::from($($key)+), $value);
        $crate::__members!($object () $($rest)*);
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Value;

    #[test]
    fn the_macro_reads_like_json() {
        let name = String::from("n");
        let ours = value!({ "a": [1, -2.5, [], {}, null, true,], name.clone(): { "b": null }, "c": 1 + 1, });
        let theirs = json!({ "a": [1, -2.5, [], {}, null, true], name: { "b": null }, "c": 2 });
        assert_eq!(ours, Value::from(theirs));
        assert_eq!(value!(null), Value::Null);
        assert_eq!(args![].0, []);
        assert_eq!(args!["x", null, [1]].0, [value!("x"), Value::Null, value!([1])]);
    }
}
