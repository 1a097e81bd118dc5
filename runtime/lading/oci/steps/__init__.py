"""The steps that a container start is made of; `lading.oci.plan` puts them in order."""
