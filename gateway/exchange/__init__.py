"""The use cases, one file each: submit, deliver, receive, acknowledge, read. No IO but for the ports."""
