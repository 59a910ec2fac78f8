"""Templates in SAM's form: what one means, and which steps make it so. Pure; whoever performs the steps is the CLI.

```
 text ─ document ─▶ sections with lines ─ evaluation ─▶ values ─ resources ─▶ steps ─ plan ─▶ steps in their order
```
A value that nobody can know before something is made, such as a queue's address, stays an `Attribute` until then.
Whatever a template has that ondol does not serve is refused by name, all of it at once and with its lines, before
anything is changed. Source: AWS SAM developer guide, "AWS SAM template anatomy"; CloudFormation user guide,
"Intrinsic function reference".
"""
