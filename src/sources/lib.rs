//! The outside world as events: a folder of YAML.
