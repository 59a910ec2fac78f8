"""Images as runtimes: from a name in the configuration to verified layers in the data directory.

```
oci:NAME ──reference──▶ layout | registry ──choice──▶ index ▶ manifest ▶ config
                              └──────────── fetch ──▶ images/DIGEST/{image.json, layers/0 ..}
images: one fetch per image, in a process of its own ──▶ a Runtime that says what to launch
```
Nothing here unpacks: layers are a stranger's archives, and whoever makes base roots sees to them. Source: OCI Image
Format, Image Layout and Distribution specifications 1.1.
"""
