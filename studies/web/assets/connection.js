// Says so while the server does not answer: nothing else on the page would.
const notice = () => document.getElementById("cut-off");
document.addEventListener("htmx:sseError", () => { notice().textContent = notice().dataset.text; });
document.addEventListener("htmx:sseOpen", () => { notice().textContent = ""; });
