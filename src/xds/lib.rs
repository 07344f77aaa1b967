//! Who gets what, when: encoded sets, subscriptions, versions, diffs, push order, and the ADS wire at the rim.
