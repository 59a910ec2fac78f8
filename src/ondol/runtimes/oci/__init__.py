"""Images, as runtimes and as functions' code: from a name to verified layers in the data directory.

```
oci:NAME ──reference──▶ layout | registry ──choice──▶ index ▶ manifest ▶ config
                              └──────────── fetch ──▶ images/DIGEST/{image.json, layers/0 ..}
runtime_images, function_images: one fetch per image, in a process of its own ──▶ what to launch
```
Nothing here unpacks: layers are a stranger's archives, and whoever makes base roots sees to them. Source: OCI Image
Format, Image Layout and Distribution specifications 1.1.
"""
