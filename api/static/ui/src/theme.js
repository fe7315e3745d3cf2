// Before the first paint, so that a chosen theme does not flash. The choice is all that is stored on this device.
{
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
