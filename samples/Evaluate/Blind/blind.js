const form = document.querySelector("form");
const save = document.getElementById("save");
const state = document.getElementById("state");
const participant = crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
const questions = document.querySelectorAll("fieldset").length;
let unsaved = false;

form.addEventListener("change", () => {
  unsaved = true;
  save.disabled = false;
  state.textContent = `${[...new FormData(form)].length} of ${questions} answered`;
});

save.addEventListener("click", () => {
  const answers = [...new FormData(form)].map(([name, choice]) => {
    const [pair, question] = name.split(" ");
    return { pair, question, choice };
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ page: form.dataset.page, participant, answers }, null, 1)], { type: "application/json" }));
  link.download = `answers-${participant}.json`;
  link.click();
  unsaved = false;
  state.textContent = `Saved ${answers.length} answers as ${link.download}. Please send that file to whoever asked you.`;
});

window.addEventListener("beforeunload", event => {
  if (unsaved) {
    event.preventDefault();
  }
});
