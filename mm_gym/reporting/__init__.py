"""Presentation of results: tables, pictures, the report and the files of an evaluation."""
