"""The rules that ship with Concord, in Cedar: blocks, holds, warnings, and the schema they are checked against."""
