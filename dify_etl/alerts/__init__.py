"""What a person should hear of: found in the home, kept in its ledger of alerts, sent once."""
