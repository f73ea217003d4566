//! Decides which fields are read and which columns are written.

use std::collections::{HashMap, HashSet};

use crate::PlanError;
use crate::data::json::Wanted;
use crate::data::{FieldPath, Format, Possible, Type, read_columns};
use crate::expr::Expr;
use crate::formulas::Formulas;

use super::args::{OnBadRow, TransformArgs};
use super::layout::{Column, Form, Input, Kind, Layout, Rows};
use super::sample::Sample;
use super::spelling::{parse_type, split_types};
use super::types_out::{Types, settle};

/// What the arguments say of columns.
#[derive(Debug)]
pub struct Asked {
    /// Name in the output, and field.
    select: Option<Vec<(String, FieldPath)>>,
    condition: Option<String>,
    /// Name and expression.
    sets: Vec<(String, String)>,
    pub(super) schema: Vec<(String, Type)>,
    /// The fields of expressions.
    used: Vec<FieldPath>,
}

impl Asked {
    /// Reads what the arguments say.
    ///
    /// # Errors
    /// What is wrong with them, and the flag.
    pub fn new(args: &TransformArgs) -> Result<Asked, PlanError> {
        let select = args.select.as_deref().map(read_columns).transpose();
        let select = select.map_err(|error| PlanError::new(format_args!("{error} (--select)")))?;
        let mut used: Vec<FieldPath> = Vec::new();
        let mut check = |flag: &str, text: &str| {
            let expr = Expr::parse(text).map_err(|error| error.of_flag(flag))?;
            used.extend(expr.fields().iter().cloned());
            Ok(())
        };
        if let Some(condition) = &args.condition {
            check("--where", condition)?;
        }
        let mut sets = Vec::new();
        for set in &args.set {
            let Some((name, expr)) = set.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
                return Err(PlanError::new(format_args!("`{set}` is no COL=EXPR (--set)")));
            };
            check("--set", expr)?;
            let name = name.trim().to_string();
            if sets.iter().any(|(known, _)| *known == name) {
                return Err(PlanError::new(format_args!("the column `{name}` is set twice (--set)")));
            }
            sets.push((name, expr.to_string()));
        }
        let schema = args.schema.iter().flat_map(|text| split_types(text)).map(parse_type).collect::<Result<_, _>>()?;
        Ok(Asked { select, condition: args.condition.clone(), sets, schema, used })
    }

    /// Whether the first rows of inputs of this form have to be looked at.
    pub fn looks(&self, form: Form, to: Form) -> bool {
        !form.is_json()
            || to.columnar().is_some()
            || self.select.is_none() && (!to.is_json() || !self.schema.is_empty())
    }

    /// The fields of expressions that no input's first rows have, if all were looked at.
    pub fn missing(&self, inputs: &[(Form, String, Sample)]) -> Vec<&FieldPath> {
        if inputs.iter().any(|(.., sample)| sample.names.is_empty()) {
            return Vec::new();
        }
        let has = |name: &String| inputs.iter().any(|(.., sample)| sample.names.contains(name));
        let is_known = |path: &FieldPath| path.parts().first().is_some_and(has) || has(&path.parts().join("."));
        let mut missing = Vec::new();
        for path in self.used.iter().filter(|path| !is_known(path)) {
            if !missing.contains(&path) {
                missing.push(path);
            }
        }
        missing
    }

    /// Whether objects stay as they are.
    fn keeps_objects(&self, forms: &[Form], to: Form) -> bool {
        let is_json = to.is_json() && forms.iter().all(|form| form.is_json());
        is_json && self.select.is_none() && self.schema.is_empty()
    }

    /// The layout for inputs of these forms, with what their first rows tell, also of the types that the columns could have.
    ///
    /// # Errors
    /// When a field or a column is named that is not there.
    pub fn layout(
        &self,
        inputs: &[(Form, String, Sample)],
        to: Form,
        found: &[Possible],
        args: &TransformArgs,
    ) -> Result<Layout, PlanError> {
        let forms: Vec<Form> = inputs.iter().map(|(form, ..)| *form).collect();
        let keeps_objects = self.keeps_objects(&forms, to);
        let mut paths: Vec<FieldPath> = Vec::new();
        let mut slots: HashMap<FieldPath, usize> = HashMap::new();
        let mut slot_of = |path: &FieldPath| {
            *slots.entry(path.clone()).or_insert_with(|| {
                paths.push(path.clone());
                paths.len() - 1
            })
        };
        let mut columns: Vec<Column> = Vec::new();
        match &self.select {
            Some(select) => {
                for (name, path) in select {
                    columns.push(Column { name: name.clone(), slot: slot_of(path), kind: Kind::Any });
                }
            }
            None if keeps_objects => {}
            None => {
                let mut known = HashSet::new();
                for name in inputs.iter().flat_map(|(.., sample)| &sample.names) {
                    if known.insert(name) {
                        columns.push(Column { name: name.clone(), slot: slot_of(&one_name(name)), kind: Kind::Any });
                    }
                }
            }
        }
        for path in &self.used {
            slot_of(path);
            // A name that is used is known, be it that the first rows lack it.
            let Some(name) = path.parts().first().filter(|_| self.select.is_none() && !keeps_objects) else { continue };
            let is_missing = !columns.iter().any(|column| column.name == *name);
            if is_missing && forms.iter().any(|form| form.is_json()) {
                columns.push(Column { name: name.clone(), slot: slot_of(&one_name(name)), kind: Kind::Any });
            }
        }
        let fields = paths.len();
        let mut whole_sets = Vec::new();
        for (n, (name, _)) in self.sets.iter().enumerate() {
            whole_sets.push((name.clone(), fields + n));
            match columns.iter_mut().find(|column| column.name == *name) {
                Some(column) => column.slot = fields + n,
                None => columns.push(Column { name: name.clone(), slot: fields + n, kind: Kind::Any }),
            }
        }
        let mut described = Vec::new();
        for (form, input, sample) in inputs {
            described.push(self.input(*form, input, sample, &paths)?);
            note_types(&mut columns, *form, sample, described.last());
        }
        if to.columnar().is_some() {
            settle(&mut columns, inputs, &paths, found, &self.schema)?;
        }
        for (name, kind) in &self.schema {
            // What number is meant, the values tell.
            if *kind == Type::Number && to.columnar().is_some() {
                continue;
            }
            let mut named = columns.iter_mut().filter(|column| column.name == *name).peekable();
            if named.peek().is_none() {
                return Err(PlanError::new(format_args!("there is no column `{name}` (--schema)")));
            }
            named.for_each(|column| column.kind = Kind::Only(*kind));
        }
        let too_deep = |path: &FieldPath| PlanError::new(format_args!("the field `{path}` is too deep (--select)"));
        Ok(Layout {
            inputs: described,
            wanted: Wanted::new(&paths).map_err(too_deep)?,
            paths: paths.iter().map(|path| path.parts().to_vec()).collect(),
            is_closed: self.select.is_none() && !keeps_objects,
            rows: if keeps_objects { Rows::Whole(whole_sets) } else { Rows::Columns(columns) },
            to,
            limit: args.limit,
            stops: args.on_bad_row == OnBadRow::Stop,
            keeps_bad: matches!(args.on_bad_row, OnBadRow::Quarantine(_)),
            formulas: Formulas::new(
                self.condition.clone(),
                self.sets.iter().map(|(_, expr)| expr.clone()).collect(),
                &paths,
            ),
            ..Layout::default()
        })
    }

    /// How an input is read; its fields must be there.
    fn input(&self, form: Form, input: &str, sample: &Sample, paths: &[FieldPath]) -> Result<Input, PlanError> {
        if form.is_json() {
            return Ok(Input { form, slots: Vec::new() });
        }
        let names: Vec<String> = paths.iter().map(|path| path.parts().join(".")).collect();
        let named = self.select.iter().flatten().map(|(_, path)| path).chain(&self.used);
        let types = sample.shape.as_ref().map(Types::new);
        let known: HashSet<&String> = sample.names.iter().collect();
        for path in named {
            let is_within = types.as_ref().is_some_and(|types| types.at(path).is_some());
            if !is_within && !known.contains(&path.parts().join(".")) {
                let known: Vec<&str> = sample.names.iter().take(20).map(String::as_str).collect();
                return Err(PlanError::new(format_args!(
                    "there is no column `{path}` in `{input}`, which has {} (--select, --where, --set)",
                    known.join(", ")
                )));
            }
        }
        // Two paths may have one name: `a.b` and "a.b".
        let mut slots = HashMap::new();
        for (slot, name) in names.iter().enumerate() {
            slots.entry(name).or_insert(slot);
        }
        Ok(Input { form, slots: sample.names.iter().map(|name| slots.get(name).copied()).collect() })
    }
}

/// Notes the types that columns have in the sample of an input.
fn note_types(columns: &mut [Column], form: Form, sample: &Sample, input: Option<&Input>) {
    let Some(input) = input.filter(|_| form.is_csv()) else { return };
    let mut of_slot: HashMap<usize, Vec<usize>> = HashMap::new();
    for (n, column) in columns.iter().enumerate() {
        of_slot.entry(column.slot).or_default().push(n);
    }
    for (slot, of_sample) in input.slots.iter().zip(&sample.types) {
        let (Some(slot), Some(found)) = (slot, of_sample) else { continue };
        for column in of_slot.get(slot).into_iter().flatten() {
            let Some(column) = columns.get_mut(*column) else { continue };
            column.kind = match column.kind {
                Kind::Any => Kind::Like(*found),
                Kind::Like(known) if known != *found => Kind::Like(Type::Text),
                kind => kind,
            };
        }
    }
}

/// The path of one name, whatever it is.
fn one_name(name: &str) -> FieldPath {
    FieldPath::of(vec![name.to_string()])
}

/// The form of an input or of the output.
///
/// # Errors
/// When nothing tells its format.
pub fn form_of(
    path: &std::path::Path,
    named: Option<Format>,
    flag: &str,
    delimiter: Option<u8>,
    quote: Option<u8>,
) -> Result<Form, PlanError> {
    let Some(format) = named.or_else(|| Format::of(path)) else {
        let what = match (path.as_os_str() == "-", flag) {
            (true, "--to") => "standard output has no name that tells its format".to_string(),
            (true, _) => "standard input has no name that tells its format".to_string(),
            _ => format!("the name of `{}` does not tell its format", path.display()),
        };
        return Err(PlanError::new(format_args!("{what} ({flag} json, ndjson, csv, tsv, parquet or arrow)")));
    };
    let form = Form::new(format, delimiter, quote);
    match form {
        Form::Csv(dialect) if !dialect.is_usable() => Err(PlanError::new(
            "the delimiter and the quote of CSV must differ, and be no letters, digits, `.`, `+` or `-` (--delimiter, --quote)",
        )),
        form => Ok(form),
    }
}
