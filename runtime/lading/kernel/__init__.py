"""One thin, typed module for each kernel subject: the only place that makes system calls.

Nothing here knows containers. Every wrapper does one call, and a failure is a `KernelError` that
carries the call, what it was applied to and the kernel's word. Importing any module of this
package is cheap: the spawner keeps all of them in memory for every container's shim.
"""
